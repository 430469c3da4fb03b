"""A million files: what the listing takes, and what putting a million rows in order takes; no picture is read.

    python benchmarks/scale.py

Each part runs in a process of its own; memory is what its peak has beyond the libraries. Seconds are those of the
listing, and of writing table and manifest. The listing is that of a
simulated S3, a thousand keys a page without any network; rows come from a journal, or from parts of 256, in the order
in which several machines would have finished them.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SLICE = 256


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Bucket:
    """As s3fs's filesystem, as far as a listing asks: `files` keys, `each` in a folder."""

    def __init__(self, files: int, each: int) -> None:
        self.files, self.each = files, each

    def call_s3(self, method: str, Bucket: str, Prefix: str, MaxKeys: int, ContinuationToken: str = "0") -> Any:  # noqa: ARG002, N803
        start = int(ContinuationToken)
        stop = min(start + MaxKeys, self.files)
        keys = [
            {
                "Key": f"{Prefix}site {one // self.each % 10}/patient {one // self.each:07}/image-{one:08}.dcm",
                "Size": 8_000_000 + one,
                "ETag": f'"{one * 2654435761:032x}"',
            }
            for one in range(start, stop)
        ]
        return {"IsTruncated": stop < self.files, "NextContinuationToken": str(stop), "Contents": keys}


def found_in(bucket: Bucket) -> Any:
    from cxr.remote.filesystem import RetryPolicy
    from cxr.remote.store import FsspecStore
    from cxr.screening.candidates import Query
    from cxr.screening.discovery import discover
    from cxr.screening.paths import Naming

    store = FsspecStore(bucket, "s3", "films/all", "s3://films/all", RetryPolicy("s3://films/all"))
    return discover(Query([]), Naming(store))


def listing(files: int, each: int) -> None:
    from cxr.screening.discovery import select

    found_in(Bucket(10, 1))  # libraries
    before, start = megabytes(), time.perf_counter()
    found = found_in(Bucket(files, each))
    selection = select(found.candidates, None, None)
    assert len(selection.candidates) == files
    print(f"{time.perf_counter() - start:.1f} s, {megabytes() - before:.0f} MB")


def ordering(files: int, *, in_parts: bool = False, shuffled: bool = False, resumed: bool = False) -> None:
    """Write `files` records a slice at a time, then table and manifest, or find out what is done."""
    from cxr.screening.candidates import Candidate, Found, Gathering
    from cxr.screening.discovery import select
    from cxr.screening.journal import JournalRecord, begin_parts, create_journal, fingerprint_of, write_part
    from cxr.screening.run import Clock, done_before, finalize
    from cxr.screening.schema import Prediction, Row
    from cxr.screening.tables import OutputFiles
    from tests.screening.works import work_on

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "scans").mkdir()
        small = work_on(folder / "scans")
        before = megabytes()
        gathering = Gathering()
        for number in range(files):
            name = f"site {number % 10}/image-{number:08}.dcm"
            gathering.add(Candidate(name, name))
        found = Found(gathering.sorted())
        selection = select(found.candidates, None, None)
        row = Row("", answers=(Prediction("covid", (0.5, 0.25, 0.25)),), format="DICOM", sha256="0" * 64)
        cells = tuple(small.schema.cells(row)[1:])
        fingerprint = fingerprint_of(small.models, small.request.naming, small.schema.keywords)
        positions = array("q", [-1]) * files
        slices = list(range(0, files, SLICE))
        if shuffled:
            random.Random(0).shuffle(slices)
        begin, where = (begin_parts, folder / "parts") if in_parts else (create_journal, folder / "journal")
        with begin(where, fingerprint) as log:
            for count, first in enumerate(slices):
                numbers = range(first, min(first + SLICE, files))
                records = [JournalRecord(selection.candidates[n].cell, (1, n), cells) for n in numbers]
                places = write_part(where, count, records) if in_parts else log.append(records)
                for number, place in zip(numbers, places, strict=True):
                    positions[number] = place
            start = time.perf_counter()
            work = type(small)(small.request, found, selection, small.models, small.schema)
            if resumed:
                done_before(log, work)
                print(f"{time.perf_counter() - start:.1f} s, {megabytes() - before:.0f} MB")
                return
            finalize(log, work, positions, OutputFiles(folder / "r.csv"), fingerprint, Clock(datetime.now(UTC), files))
            print(f"{time.perf_counter() - start:.1f} s, {megabytes() - before:.0f} MB")


MEASURES: dict[str, Callable[[int], None]] = {
    "listing, 4 files in a folder": partial(listing, each=4),
    "listing, a folder for each file": partial(listing, each=1),
    "table from a journal, in order": ordering,
    "table from a journal, shuffled": partial(ordering, shuffled=True),
    "table from parts, shuffled": partial(ordering, in_parts=True, shuffled=True),
    "what is done, from a journal": partial(ordering, resumed=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--only", choices=MEASURES, help="measure this, in this process")
    options = parser.parse_args()
    if options.only:
        MEASURES[options.only](options.files)
        return
    for name in MEASURES:
        command = [sys.executable, __file__, "--files", str(options.files), "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        print(f"{name}, {options.files:,} files: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
