"""How fast this pipeline trains beside a plain Keras notebook: same files, networks, epochs and batch size.

    python benchmarks/train.py

For each network (a) decodes once and trains as `prepare` and the train stage do, with an empty cache; (b) is
train_plain.py; (c), for a frozen backbone, is (a) again with another penalty of the head: what is decoded and
what the backbone said of it are there already. Each runs in a process of its own, in turns. Ratios are taken within a
round; the figures are their medians [quartiles].
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from timing import interleave
from train_files import radiographs, weights_file
from train_report import Arms, Case, Run, report

from cxr.core.params import read_params

HERE = Path(__file__).parent
NETWORKS = ("cnn1", "vgg16", "resnet50")
TRANSFER = ("vgg16", "resnet50")
# For training; a fifth as many are for validation. A small network that learns from few images spends its time on
# tracing graphs, which is alike in both; the balanced public database has about 2,580.
IMAGES = {"cnn1": (2000,), "vgg16": (500,), "resnet50": (500, 2000)}
FROZEN_SIDE = 64  # pixels; that of params.yaml is for random weights, and published ones want more still
WARM_STRENGTH = "0.02"  # any but that of params.yaml


@dataclass(frozen=True)
class Training:
    """How the arms of one network are run."""

    network: str
    data: Path
    weights: Path
    epochs: int
    scratch: Path
    images: int

    @property
    def case(self) -> Case:
        return Case(self.network, self.images)

    def plain(self) -> Run:
        same = (self._side, self._recipe["batch_size"])
        return timed("train_plain.py", self.network, self.data, self.weights, self.epochs, *same)

    def ours(self) -> Run:
        """Run (a) in a new folder, so that it finds nothing of an earlier round."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as work:
            return self._ours(Path(work))

    def fill(self) -> None:
        """Leave what (c) finds."""
        self._ours(self._kept)

    def warm(self) -> Run:
        before = set(self._kept.rglob("*"))
        run = self._ours(self._kept, "--strength", WARM_STRENGTH)
        if set(self._kept.rglob("*")) != before:
            raise SystemExit(f"{self.network}: features were computed again, so (c) was not measured; start again")
        return run

    @property
    def _recipe(self) -> dict[str, int]:
        return dict(read_params(HERE.parent / "params.yaml")[f"train_{self.network}"])

    @property
    def _side(self) -> int:
        return FROZEN_SIDE if self.network in TRANSFER else self._recipe["side"]

    @property
    def _kept(self) -> Path:
        return self.scratch / f"kept-{self.network}-{self.images}"

    def _ours(self, work: Path, *more: str) -> Run:
        side = ("--side", self._side)
        return timed("train_ours.py", self.network, self.data, self.weights, self.epochs, work, *side, *more)


def timed(script: str, *arguments: object) -> Run:
    """Run a script, which prints what it measured of itself, and measure its process from outside."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, HERE / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}:\n{done.stderr}")
    own = json.loads(done.stdout.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(own["seconds"], own["cpu"], seconds, cpu, own["val_accuracy"])


def measure(trainings: list[Training], rounds: int) -> dict[Case, Arms]:
    """Run the rounds case by case: every arm once each."""
    measured: dict[Case, Arms] = {}
    for one in trainings:
        arms: dict[str, Callable[[], Run]] = {"ours": one.ours, "plain": one.plain}
        if one.network in TRANSFER:
            one.fill()
            arms["warm"] = one.warm
        arms = {name: partial(_said, one.case, name, arm) for name, arm in arms.items()}
        measured[one.case] = interleave(arms, rounds)
    return measured


def _said(case: Case, name: str, arm: Callable[[], Run]) -> Run:
    run = arm()
    print(f"{case} {name}: {run.seconds:.1f} s, whole process {run.whole:.1f} s", file=sys.stderr)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--images", type=int, nargs="+", help="for training, in place of each network's own numbers")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--files", type=Path, default=Path(tempfile.gettempdir()) / "cxr-benchmark", help="drawn files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        trainings = [
            Training(
                network,
                radiographs(options.files, images),
                weights_file(options.files, network) if network in TRANSFER else Path("none"),
                options.epochs,
                Path(temporary),
                images,
            )
            for network in options.networks
            for images in options.images or IMAGES[network]
        ]
        print(report(measure(trainings, options.rounds), options.epochs), flush=True)


if __name__ == "__main__":
    main()
