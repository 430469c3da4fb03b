"""Mutated files through cxr-batch: is a row missing, does a run end, does a neighbour's row change, in how much memory?

5,000 files of all 51 seeds and 2,800 of compressed DICOM, in batches of 500, each beside the same 13 good files; with
one process and with two in turn, and the first batch by Ray as well. Each batch is screened again, so that what failed
is tried again: the table must stay the same. The n-th file is always the same (`tests/fuzz/mutate.py`). Exit status 1
where something is lost.
"""

import argparse
import csv
import itertools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processes import memory_of

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fuzz.check import look_at
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds

FILES, STREAMS, BATCH = 5000, 2800, 500
NEIGHBOURS = (
    "l.png", "16-bit.png", "rgba.png", "l.jpg", "progressive.jpg", "raw.tif", "16-bit-lzw.tif", "l.bmp", "lossy.webp",
    "still.gif", "explicit.dcm", "rle.dcm", "jpeg-2000.dcm",
)  # fmt: skip
COMPRESSED = (
    "rle.dcm",
    "jpeg.dcm",
    "lossless.dcm",
    "jpeg-ls.dcm",
    "jpeg-2000.dcm",
    "extended.dcm",
    "high-throughput.dcm",
)
FILE_TIMEOUT = 10  # seconds
SAMPLE = 0.05  # seconds between looks at the memory
ENDS = (0, 3)  # exit statuses of a run that has written its table

Rows = dict[str, list[str]]


@dataclass
class Found:
    """What the batches came to."""

    missing: int = 0
    ended: list[str] = field(default_factory=list)
    changed: int = 0
    other: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)


def numbers_of(chosen: Sequence[str], count: int) -> list[int]:
    """Return the numbers of the first `count` mutated files of some seeds."""
    names = list(seeds())
    some = (number for number in itertools.count() if names[number % len(names)] in chosen)
    return list(itertools.islice(some, count))


def screened(folder: Path, output: Path, options: Sequence[str]) -> tuple[int, int, str]:
    """Run cxr-batch; return its exit status, the most memory of its processes together in bytes, and its last line."""
    command = ["cxr-batch", folder, "-o", output, "--file-timeout", str(FILE_TIMEOUT), *options]
    peak = 0
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(command, stderr=errors) as process:
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(SAMPLE)
        errors.seek(0)
        lines = errors.read().splitlines() or [""]
    return process.returncode, peak, lines[-1]


def rows_of(table: Path) -> Rows:
    """Return the cells of each row by path; none where there is no table."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row[0]: row for row in itertools.islice(csv.reader(file), 1, None)}


def batch(numbers: Sequence[int], options: Sequence[str], good: Rows, found: Found) -> None:
    """Screen a batch with its neighbours, and again, and note what came of it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, output = Path(temporary) / "scans", Path(temporary) / "r.csv"
        folder.mkdir()
        write_neighbours(folder)
        for number in numbers:
            name, data = mutated(number)
            (folder / f"{number:06}-{name}").write_bytes(data)
        status, peak, last = screened(folder, output, options)
        rows = rows_of(output)
        again, _, _ = screened(folder, output, options)
        found.other += rows_of(output) != rows
    if status not in ENDS or again not in ENDS:
        found.ended.append(f"{numbers[0]}-{numbers[-1]} {' '.join(options)}: status {status}, {again}: {last}")
    found.missing += len(numbers) + len(good) - len(rows)
    found.changed += sum(rows.get(name) != row for name, row in good.items())
    how = " ".join(options[:2])
    found.peaks[how] = max(found.peaks.get(how, 0), peak)
    found.reasons.update(row[2] or "ok" for name, row in rows.items() if name not in good)


def write_neighbours(folder: Path) -> None:
    """Write the good files."""
    for name in NEIGHBOURS:
        (folder / f"good-{name}").write_bytes(seeds()[name])


def good_rows(options: Sequence[str]) -> Rows:
    """Return the rows of the good files alone."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "scans"
        folder.mkdir()
        write_neighbours(folder)
        screened(folder, Path(temporary) / "r.csv", options)
        rows = rows_of(Path(temporary) / "r.csv")
    assert len(rows) == len(NEIGHBOURS), "the good files have no rows"
    return rows


def batches(files: int, streams: int) -> Iterator[tuple[list[int], list[str]]]:
    """Give the numbers and the options of each batch."""
    numbers = [*numbers_of(list(seeds()), files), *numbers_of(COMPRESSED, streams)]
    yield numbers[:BATCH], ["--engine", "ray", "--workers", "2"]
    for place in range(0, len(numbers), BATCH):
        yield numbers[place : place + BATCH], ["--processes", str(1 + place // BATCH % 2)]


def main() -> int:
    """Run the batches, print what was found, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--streams", type=int, default=STREAMS)
    options = parser.parse_args()
    found, good = Found(), good_rows(["--processes", "1"])
    for numbers, how in batches(options.files, options.streams):
        begin = time.monotonic()
        batch(numbers, how, good, found)
        print(f"{numbers[0]}-{numbers[-1]} {' '.join(how)}: twice, {time.monotonic() - begin:.0f} s", flush=True)
    slowest = slowest_of(numbers_of(list(seeds()), options.files))
    peaks = ", ".join(f"{size / 1e9:.2f} GB with {how}" for how, size in found.peaks.items())
    print(
        f"rows missing {found.missing}; runs ended {len(found.ended)}; neighbours' rows changed {found.changed}",
        f"tables that another run changed {found.other}",
        f"longest file {slowest}",
        f"memory of all processes at most {peaks} (PSS: a shared page counts once)",
        f"reasons: {', '.join(f'{name} {number:,}' for name, number in found.reasons.most_common())}",
        *found.ended,
        sep="\n",
    )
    return 1 if found.missing or found.ended or found.changed or found.other else 0


def slowest_of(numbers: Sequence[int]) -> str:
    """Decode each file alone, twice, and say which took longest."""
    tally = look_at(iter(numbers), mutated, time.monotonic() + 3600, Path("work/fuzz"))
    return f"{tally.slowest[0]:.1f} s for both times (number {tally.slowest[1]}), finds {len(tally.finds)}"


if __name__ == "__main__":
    sys.exit(main())
