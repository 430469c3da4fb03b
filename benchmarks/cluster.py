"""How fast `--engine ray` screens a folder: two workers beside one, and both beside the local engine.

    python benchmarks/cluster.py

Each arm screens a smaller and a larger folder; images a second are those of what the larger has more, so that starting
Ray (seconds) is told apart. Tables are compared by byte. Ratios are taken within a round.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from processes import peak_megabytes, timed
from screening_files import drawn_files
from timing import interleave, quartiles, ratios, table

CXR_BATCH = Path(sys.executable).parent / "cxr-batch"
ARMS = {
    "local": (),
    "Ray, one worker": ("--engine", "ray", "--workers", "1"),
    "Ray, two workers": ("--engine", "ray", "--workers", "2"),
}


def command(folder: Path, output: Path, more: tuple[str, ...], model: str) -> list[str | Path]:
    return [CXR_BATCH, folder, "-o", output, "--quiet", "--overwrite", "--model", model, *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", type=int, default=800)
    parser.add_argument("--big", type=int, default=3200)
    parser.add_argument("--model", default="packaged", help="as of cxr-batch")
    parser.add_argument("--files", type=Path, default=Path(tempfile.gettempdir()) / "cxr-benchmark", help="drawn files")
    options = parser.parse_args()
    folders = {size: drawn_files(options.files, getattr(options, size)) for size in ("small", "big")}
    with tempfile.TemporaryDirectory() as temporary:
        tables = {name: Path(temporary) / f"{number}.csv" for number, name in enumerate(ARMS)}
        runs = {
            (name, size): partial(timed, command(folder, tables[name], more, options.model), lambda: True)
            for name, more in ARMS.items()
            for size, folder in folders.items()
        }
        measured = interleave({f"{name}|{size}": run for (name, size), run in runs.items()}, options.rounds)
        for name, more in ARMS.items():  # the last run of an arm may have been of either folder
            timed(command(folders["big"], tables[name], more, options.model), lambda: True)
        same = len({path.read_bytes() for path in tables.values()}) == 1
        peaks = {
            name: peak_megabytes(command(folders["big"], tables[name], more, options.model))
            for name, more in ARMS.items()
        }
    extra = options.big - options.small
    seconds = {arm: [one.seconds for one in some] for arm, some in measured.items()}
    rates = {
        name: [extra / (b - a) for a, b in zip(seconds[f"{name}|small"], seconds[f"{name}|big"], strict=True)]
        for name in ARMS
    }
    start = {
        name: [a - options.small / rate for a, rate in zip(seconds[f"{name}|small"], rates[name], strict=True)]
        for name in ARMS
    }
    rows = [[name, quartiles(rates[name]), quartiles(start[name]), f"{peaks[name]:.0f} MB"] for name in ARMS]
    print(f"{options.rounds} rounds, {len(os.sched_getaffinity(0))} cores, equal bytes: {same}")
    print(table(("arm", "images/s after start-up", "start-up, s", "peak, all processes"), rows))
    figures = (
        ("two workers / one", ratios(rates["Ray, two workers"], rates["Ray, one worker"])),
        ("local / Ray, two workers", ratios(rates["local"], rates["Ray, two workers"])),
    )
    print(table(("throughput after start-up", "median [quartiles]"), figures))


if __name__ == "__main__":
    main()
