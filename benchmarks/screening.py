"""How fast cxr-batch screens a folder, beside a Keras script and beside loops that do one part of the work alone.

    pip install opencv-python-headless kornia_rs     (optional: further decoders to compare with)
    python benchmarks/screening.py

(a) cxr-batch, (b) keras_script.py and (c) the fastest antialiased decode-and-resize loop take turns on the same
files. Ratios are taken within a round; the figures are their medians [quartiles].
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from processes import Dialogue, Timed, peak_megabytes, timed
from screening_files import drawn_files, keras_model, own_files
from screening_report import Measured, memory_lines, report
from timing import interleave

HERE = Path(__file__).parent
SMALL, BIG, HUGE = 100, 1_000, 20_000
SIDE = 128  # pixels of the packaged network's planes
CXR_BATCH = Path(sys.executable).parent / "cxr-batch"


@dataclass(frozen=True)
class Commands:
    """How (a) and (b) are started; each run writes into a new folder, so that it finds nothing of an earlier one."""

    model: Path
    scratch: Path
    network: str

    def tool(self, folder: Path) -> tuple[list[str | Path], Path]:
        """Return (a) and its journal: a line to begin with, then one a file."""
        out = self._new() / "results.csv"
        return [CXR_BATCH, folder, "-o", out, "--model", self.network], out.with_name(out.name + ".journal")

    def script(self, folder: Path) -> tuple[list[str | Path], Path]:
        """Return (b) and its marker."""
        out = self._new() / "results.csv"
        marker = out.with_name("answered")
        return [sys.executable, HERE / "keras_script.py", self.model, folder, out, marker], marker

    def time_tool(self, folder: Path) -> Timed:
        command, journal = self.tool(folder)
        return timed(command, lambda: journal.exists() and journal.read_bytes().count(b"\n") > 1)

    def time_script(self, folder: Path) -> Timed:
        command, marker = self.script(folder)
        return timed(command, marker.exists)

    def _new(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.scratch))


class Loops:
    """The process of screening_loops.py: (c), and the forward pass."""

    def __init__(self, folder: Path, network: str) -> None:
        self._process = Dialogue([sys.executable, HERE / "screening_loops.py", folder, str(SIDE), network])
        self.names = self._process.ask("loops").split("\t")

    def rates(self) -> dict[str, float]:
        """Return images a second of each decoder and of `forward`."""
        return {name: float(self._process.ask(name)) for name in (*self.names, "forward")}

    def close(self) -> None:
        self._process.close()


def measure(commands: Commands, folders: dict[str, Path], rounds: int) -> Measured:
    """Run the rounds: every arm once each."""
    loops = Loops(folders["big"], commands.network)
    arms: dict[str, Callable[[], Timed | dict[str, float]]] = {
        f"tool {size}": partial(commands.time_tool, folder) for size, folder in folders.items()
    }
    arms |= {f"script {size}": partial(commands.time_script, folders[size]) for size in ("small", "big")}
    arms["loops"] = loops.rates
    interleave({name: arms[name] for name in ("tool small", "script small")}, 1)  # files and libraries into the cache
    try:
        return Measured(interleave(arms, rounds), {size: sum(1 for _ in f.iterdir()) for size, f in folders.items()})
    finally:
        loops.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds: shows that it works, not how fast")
    parser.add_argument("--large", action="store_true", help=f"{HUGE:,} files as well")
    parser.add_argument("--files", type=Path, default=Path(tempfile.gettempdir()) / "cxr-benchmark", help="drawn files")
    parser.add_argument("--model", default="packaged", help="of (a) and the forward pass, as of cxr-batch")
    parser.add_argument("--folder", type=Path, help="take the files from here instead of drawing them")
    options = parser.parse_args()
    sizes = {"small": SMALL, "big": BIG} | ({"huge": HUGE} if options.large else {})
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if options.folder:
            folders = {size: own_files(options.folder, scratch / size, count) for size, count in sizes.items()}
        else:
            folders = {size: drawn_files(options.files, count) for size, count in sizes.items()}
        commands = Commands(keras_model(options.files), scratch, options.model)
        print(report(measure(commands, folders, 2 if options.quick else options.rounds)), flush=True)
        tool = {size: peak_megabytes(commands.tool(folder)[0]) for size, folder in folders.items()}
        script = {size: peak_megabytes(commands.script(folders[size])[0]) for size in ("small", "big")}
        print(memory_lines(tool, script))


if __name__ == "__main__":
    main()
