"""The pipeline at the size of the public database: 15,153 films of 299 pixels, drawn, with masks and sheets.

    python benchmarks/full_size.py [--share 0.1] [--baseline CHECKOUT] [--rounds 2]

Import, prepare, balance, split, one epoch of cnn1 and evaluate run as `dvc repro` runs them, each in a process of its
own. Of each are printed: seconds, seconds of a core (user and system, all processes), the cores that it used on
average, and the largest sum of the memory of its processes; and once for all, the SHA-256 of what prepare and split
wrote. With --baseline, the code of another checkout does the same in turns with this one. On a machine with other work
the seconds of a core are what to compare.
"""

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from full_size_films import full_release
from processes import memory_of
from timing import interleave, quartiles, table

HERE = Path(__file__).resolve().parent.parent
SAMPLE = 0.1  # seconds between looks at the memory
STAGES = {
    "prepare": ["stages.prepare"],
    "balance": ["stages.balance"],
    "split": ["stages.split"],
    "one epoch of cnn1": ["stages.train_cnn1"],
    "evaluate": ["stages.evaluate", "models/cnn1"],
}
IMPORT = "from cxr.cli.data import app; app()"
DIGESTS = ("work/prepared/images.npy", "work/prepared/manifest.csv", "work/prepared/masks.npy", "work/split.csv")


@dataclass(frozen=True)
class Cost:
    """Of a process and those below it: seconds, seconds of a core, largest memory in MB."""

    seconds: float
    cpu: float
    memory: float


def cost_of(command, folder, checkout):
    """Run a command in `folder` with the code of `checkout`."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    before, start, peak = _children(), time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        done = threading.Thread(target=process.wait)
        done.start()
        while done.is_alive():
            peak = max(peak, memory_of(process.pid))
            done.join(SAMPLE)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{command} ended with {process.returncode}:\n{said.read().decode(errors='replace')}")
    return Cost(time.perf_counter() - start, _children() - before, peak / 1e6)


def _children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(checkout, films, scratch, stages):
    """Return the cost of each stage, and digests of what some wrote."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        project = Path(folder)
        shutil.copy(checkout / "params.yaml", project)
        python = [sys.executable, "-m"]
        found = {
            "import": cost_of(
                [sys.executable, "-c", IMPORT, "import", films, "--root", project, "--no-dvc"], project, checkout
            )
        }
        _shorten(project / "params.yaml")
        for name in stages:
            found[name] = cost_of(python + STAGES[name], project, checkout)
            print(f"{checkout}: {name} {found[name].seconds:.0f} s", file=sys.stderr)
        written = [project / path for path in DIGESTS if (project / path).exists()]
        return found, {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in written}


def _shorten(path):
    """Train for one epoch, and let an audit that fails on drawn films, where labels mean nothing, not stop a stage."""
    from ruamel.yaml import YAML

    values = YAML(typ="safe").load(path)
    values["train_cnn1"]["epochs"] = 1
    waived = {"prepare": ("label_conflicts", "format_leak_decoded"), "evaluate": EVALUATED}
    for stage, audits in waived.items():
        values[stage]["waivers"] = dict.fromkeys(audits, "drawn films, one epoch")
    with path.open("w") as file:
        YAML().dump(values, file)


EVALUATED = ("appearance_floor",)


def main():
    """Measure, and print a table for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the films of each class")
    parser.add_argument("--baseline", type=Path, help="another checkout, which runs in turns with this one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=HERE / "work/benchmarks", help="where the films are kept")
    parser.add_argument("--until", choices=STAGES, default="evaluate", help="last stage")
    options = parser.parse_args()
    films = full_release(options.cache, options.share)
    stages = list(STAGES)[: list(STAGES).index(options.until) + 1]
    checkouts = [HERE, *([options.baseline.resolve()] if options.baseline else [])]
    arms = {str(one): partial(run, one, films, options.cache, stages) for one in checkouts}
    for checkout, rounds in interleave(arms, options.rounds).items():
        print(f"\n{checkout}: {os.cpu_count()} cores; {rounds[0][1]}")
        rows = []
        for name in rounds[0][0]:
            costs = [one[name] for one, _ in rounds]
            cores = quartiles([cost.cpu / cost.seconds for cost in costs])
            figures = (quartiles([getattr(cost, key) for cost in costs]) for key in ("seconds", "cpu", "memory"))
            rows.append([name, *figures, cores])
        print(table(["stage", "seconds", "seconds of a core", "MB at peak", "cores used"], rows))


if __name__ == "__main__":
    main()
