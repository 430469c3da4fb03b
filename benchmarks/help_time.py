"""How long --help takes beside that of a bare typer app: interleaved, median of ratios, at most 1.5."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 9
LIMIT = 1.5
BARE = "import typer\ndef main(folder: str, output: str = 'x') -> None:\n    '''Do.'''\ntyper.run(main)"
COMMANDS = {f"stages/{path.name}": [sys.executable, str(path)] for path in sorted((ROOT / "stages").glob("*.py"))}
COMMANDS["cxr-batch"] = [str(Path(sys.executable).parent / "cxr-batch")]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> int:
    ratios: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            ratios[name].append(seconds(command) / seconds([sys.executable, "-c", BARE]))
    for name, values in ratios.items():
        low, median, high = statistics.quantiles(values, n=4)
        print(f"{name:28} {median:.2f} [{low:.2f}-{high:.2f}] times a bare typer app")
    return int(max(statistics.median(values) for values in ratios.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
