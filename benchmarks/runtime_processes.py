"""Converted networks and the processes that run them, for runtimes.py."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from processes import Dialogue

HERE = Path(__file__).parent
# Runtime: suffix of its network, module, distribution.
RUNTIMES = {
    "OpenVINO": (".xml", "openvino", "openvino"),
    "ONNX Runtime": (".onnx", "onnxruntime", "onnxruntime"),
    "LiteRT": (".tflite", "ai_edge_litert", "ai-edge-litert"),
    "TensorFlow": (".keras", "tensorflow", "tensorflow"),
}


def missing(runtime: str) -> str:
    """Return the package that `runtime` lacks here, or nothing."""
    _, module, distribution = RUNTIMES[runtime]
    if not importlib.util.find_spec(module):
        return distribution
    return "tf2onnx" if runtime == "ONNX Runtime" and not importlib.util.find_spec("tf2onnx") else ""


def convert(network: str, planes: Path, folder: Path, batches: tuple[int, ...]) -> None:
    """Write `network`-`batch` for every runtime into `folder`, and Keras's logits of `planes`."""
    command: list[str | Path] = [
        sys.executable,
        HERE / "runtime_convert.py",
        network,
        planes,
        folder,
        *map(str, batches),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent)


class Worker:
    """A process with one runtime, one network, one batch, one number of threads: see runtime_worker.py."""

    def __init__(self, runtime: str, stem: Path, threads: int, planes: Path) -> None:
        network, batch = f"{stem}{RUNTIMES[runtime][0]}", stem.name.rpartition("-")[2]
        start = time.perf_counter()
        # Quiet: TensorFlow says on stderr what processor it runs on, whatever its log level.
        self._process = Dialogue(
            [sys.executable, HERE / "runtime_worker.py", runtime, network, batch, str(threads), planes], quiet=True
        )
        self._process.answer()
        self.seconds_to_first_answer = time.perf_counter() - start

    def seconds(self, count: int) -> float:
        return float(self._process.ask(f"time {count}"))

    def logits(self, file: Path) -> Any:
        """Return float32 logits of as many planes as fill batches; `file` is where they pass through."""
        self._process.ask(f"answers {file}")
        return np.load(file)

    def megabytes(self) -> float:
        return int(self._process.ask("peak")) / 1e6

    def close(self) -> None:
        self._process.close()


def installed_megabytes(runtime: str) -> float:
    """Return the size of a runtime with all that it requires but NumPy, which screening has in any case."""
    found: dict[str, int] = {"numpy": 0}
    pending = [RUNTIMES[runtime][2]]
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another platform
            continue
        paths = [Path(str(file.locate())) for file in distribution.files or ()]
        found[name] = sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")
        needed = [text for text in distribution.requires or () if "extra ==" not in text]
        pending += [re.split(r"[^A-Za-z0-9_.-]", text, maxsplit=1)[0] for text in needed]
    return sum(found.values()) / 1e6
