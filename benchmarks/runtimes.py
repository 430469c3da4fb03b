"""Which runtime for the exported networks: OpenVINO, ONNX Runtime and LiteRT, beside TensorFlow, on the same planes.

    pip install onnxruntime ai-edge-litert tf2onnx
    python benchmarks/runtimes.py --folder RADIOGRAPHS

One seeded Keras network is converted for all of them. Every runtime has a process of its own; within a round each
computes the same images once. What is not installed is named as not measured.
"""

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from runtime_processes import RUNTIMES, Worker, convert, installed_megabytes, missing
from timing import interleave, quartiles, ratios, table

from cxr.inference.network import softmax

FIRST = "OpenVINO"  # what the others are compared with
BATCHES = (1, 7, 32)
THREADS = (1, 2)
SHIFT = 5
CONVERTED = 1e-3  # a larger difference of a probability comes from the conversion, not from rounding


@dataclass(frozen=True)
class Task:
    """A network and how much of it is measured; ResNet50 takes a hundred times as long as cnn1."""

    network: str
    side: int
    planes: int
    timed: dict[int, int]  # images of one measurement, by batch


TASKS = (Task("cnn1", 128, 960, {32: 960, 1: 320}), Task("resnet50", 224, 96, {32: 64, 1: 16}))


def read_planes(folder: Path, side: int, count: int) -> Any:
    """Return uint8 (count, side, side): PNGs taken evenly from all of `folder`."""
    paths = sorted(folder.rglob("*.png"))
    if len(paths) < count:
        raise SystemExit(f"{folder} has {len(paths)} PNGs; expected {count} or more")
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    pictures = [Image.open(path).convert("L").resize((side, side), Image.Resampling.BILINEAR) for path in chosen]
    return np.stack([np.asarray(picture) for picture in pictures])


def speed(task: Task, names: list[str], folder: Path, rounds: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for batch, count in task.timed.items():
        for threads in THREADS:
            stem = folder / f"{task.network}-{batch}"
            workers = {name: Worker(name, stem, threads, folder / "planes.npy") for name in names}
            arms = {name: partial(worker.seconds, count) for name, worker in workers.items()}
            interleave(arms, 1)  # the first run of each allocates
            seconds = interleave(arms, rounds)
            for name, worker in workers.items():
                rate = quartiles([count / value for value in seconds[name]])
                gain = "1" if name == FIRST else ratios(seconds[name], seconds[FIRST])
                rows.append([batch, threads, name, rate, gain, f"{worker.megabytes():.0f}"])
                worker.close()
    return rows


def start(task: Task, names: list[str], folder: Path, rounds: int) -> list[list[object]]:
    def arm(name: str) -> float:
        with closing(Worker(name, folder / f"{task.network}-32", max(THREADS), folder / "planes.npy")) as worker:
            return worker.seconds_to_first_answer

    seconds = interleave({name: partial(arm, name) for name in names}, rounds)
    return [[name, quartiles(seconds[name]), ratios(seconds[name], seconds[FIRST])] for name in names]


def answers(name: str, task: Task, folder: Path, batch: int, threads: int, planes: str = "planes.npy") -> Any:
    with closing(Worker(name, folder / f"{task.network}-{batch}", threads, folder / planes)) as worker:
        return worker.logits(folder / "answers.npy")


def exactness(task: Task, names: list[str], folder: Path) -> list[list[object]]:
    keras = softmax(np.load(folder / f"{task.network}.npy"))
    np.save(folder / "shifted.npy", np.roll(np.load(folder / "planes.npy"), SHIFT, axis=0))
    rows: list[list[object]] = []
    for name in names:
        get = partial(answers, name, task, folder)
        usual = get(32, 2)
        others = {
            "1 or 32": get(1, 2),
            "7 or 32": get(7, 2),
            "threads": get(32, 1),
            "place": np.roll(get(32, 2, "shifted.npy"), -SHIFT, axis=0),
            "run": get(32, 2),
        }
        difference = np.abs(softmax(usual) - keras[: len(usual)]).max()
        if not difference < CONVERTED:
            raise SystemExit(f"{name} differs from Keras by {difference}: wrongly converted, its speed means nothing")
        rows.append([name, f"{difference:.1e}", *(verdict(usual, other) for other in others.values())])
    return rows


def verdict(usual: Any, other: Any) -> str:
    """Say whether logits are equal to the bit, or by how much the probabilities differ."""
    count = min(len(usual), len(other))
    if np.array_equal(usual[:count], other[:count]):
        return "equal"
    return f"{np.abs(softmax(usual[:count]) - softmax(other[:count])).max():.1e}"


def measure(task: Task, names: list[str], radiographs: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "planes.npy", read_planes(radiographs, task.side, task.planes))
        convert(task.network, folder / "planes.npy", folder, BATCHES)
        print(f"\n{task.network}, {task.side} pixels. Largest difference of a probability to Keras; and whether the")
        print("logits are the same to the bit in batches of 1 or 7, with 1 thread or 2, elsewhere in the batch, again:")
        rows = exactness(task, names, folder)
        print(table(("runtime", "to Keras", "batch 1", "batch 7", "threads", "place", "run"), rows), flush=True)
        print("\nSeconds from the start of the process to the first answers, batch 32, and times those of OpenVINO:")
        print(table(("runtime", "seconds", "/ OpenVINO"), start(task, names, folder, rounds)), flush=True)
        print("\nImages a second, how many times OpenVINO's speed is theirs, and most MB held:")
        rows = speed(task, names, folder, rounds)
        print(table(("batch", "threads", "runtime", "images/s", "OpenVINO's gain", "MB"), rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="radiographs as PNG, 960 or more, in sub-folders")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", nargs="+", default=[task.network for task in TASKS])
    options = parser.parse_args()
    for name in RUNTIMES:
        size = "" if missing(name) else f"{installed_megabytes(name):.0f} MB installed"
        print(f"{name}: {size or f'not measured; install {missing(name)}'}")
    names = [name for name in RUNTIMES if not missing(name)]
    print(f"Medians [quartiles] of {options.rounds} interleaved rounds; ratios are taken within a round.")
    for task in TASKS:
        if task.network in options.networks:
            measure(task, names, options.folder, options.rounds)


if __name__ == "__main__":
    main()
