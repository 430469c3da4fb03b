"""python -m tests.fuzz: look at mutated files for some seconds; exit 1 where decoding one goes wrong."""

import argparse
import itertools
import sys
import time
from pathlib import Path

from tests.fuzz.check import Tally, look_at
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds

FOLDER = Path("work/fuzz")  # left aside by Git


def main() -> int:
    """Look, print what was found, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="stop after these; 300")
    parser.add_argument("--first", type=int, default=0, help="number of the first input; each is the same everywhere")
    parser.add_argument("--count", type=int, default=None, help="of inputs, at most; all that there is time for")
    options = parser.parse_args()
    last = None if options.count is None else options.first + options.count
    numbers = itertools.islice(itertools.count(), options.first, last)
    begin = time.monotonic()
    tally = look_at(numbers, mutated, begin + options.seconds, FOLDER)
    sys.stdout.write(f"{told(tally, time.monotonic() - begin)}\n")
    return 1 if tally.finds else 0


def told(tally: Tally, seconds: float) -> str:
    """Return the last lines of a run."""
    outcomes = ", ".join(f"{name} {number:,}" for name, number in tally.outcomes.most_common())
    return (
        f"{tally.inputs:,} inputs of {len(seeds())} seeds in {seconds:.0f} s: {outcomes}\n"
        f"slowest: {tally.slowest[0]:.1f} s (both times), input {tally.slowest[1]}; memory of a process at most "
        f"{tally.largest / 1e6:,.0f} MB\n"
        f"finds: {len(tally.finds)}" + (f", their inputs in {FOLDER}" if tally.finds else "")
    )


if __name__ == "__main__":
    sys.exit(main())
