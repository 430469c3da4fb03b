"""What must hold for any file's bytes, and whoever looks at many of them."""

import faulthandler
import hashlib
import io
import multiprocessing
import re
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from cxr.core.errors import ImageError, Reason
from cxr.core.image import ImageFacts, Plane
from cxr.imaging import isolation
from cxr.imaging.decode import decode_bytes
from cxr.imaging.formats import HEAD_BYTES, recognise
from cxr.imaging.jpeg import frame_of
from cxr.imaging.png import without_notes

SIDE = 160
FILE_SECONDS = 10  # of one try in a child; a plain file must not take longer either
MOST_SECONDS = 3 * FILE_SECONDS  # two tries, and two children to start
HANG_SECONDS = 2 * MOST_SECONDS + 10  # of both times
MOST_BYTES = 1_500_000_000  # resident, of reading process or child, beyond what the former began with
UNCLEAN = re.compile(
    r"0x[0-9a-f]{6,}|/tmp/|/home/|/usr/|site-packages|\.py\b|Traceback|object at|object has|<class|<_io|NoneType|None\b"
    r"|expected (str|int|bytes|a bytes-like)|must be str|not (iterable|subscriptable|callable)|argument|list index"
    r"|out of range|unpack|codec can't|invalid literal|[\x00-\x1f\x7f]|Error\b|\bself\b|__"
)
LONGEST = 400  # characters

Outcome = tuple[str, ...]


def problems(data: bytes) -> tuple[list[str], Outcome]:
    """Decode a file twice; return what is wrong with that, in a line each, and what came of it."""
    begin = time.monotonic()
    outcome, wrong = _outcome(data)
    seconds = time.monotonic() - begin
    if seconds > MOST_SECONDS:
        wrong.append(f"took {seconds:.0f} s")
    if outcome[0] != Reason.CRASHED:  # what a decoder does that runs wild is not the same each time
        again, _ = _outcome(data)
        if again != outcome and again[0] != Reason.CRASHED:
            wrong.append(f"first {outcome}, then {again}")
    return wrong, outcome


def _outcome(data: bytes) -> tuple[Outcome, list[str]]:
    try:
        luminance, facts = decode_bytes(data, SIDE, FILE_SECONDS)
    except ImageError as error:
        return (error.reason.value, error.detail), unclean(error.detail)
    except Exception as error:
        return ("exception", repr(error)), [f"raised {error!r}, no ImageError"]
    digest = hashlib.sha256(luminance.tobytes()).hexdigest()
    return ("picture", repr(facts), digest), [*wrong_size(luminance, facts, data), *answered_damaged(data)]


def unclean(detail: str) -> list[str]:
    """Say what a sentence for people must not hold."""
    found = UNCLEAN.search(detail)
    wrong = [f"{found[0]!r} in {detail!r}"] if found else []
    if not detail or len(detail) > LONGEST:
        wrong.append(f"a sentence of {len(detail)} characters")
    return wrong


def wrong_size(luminance: Plane, facts: ImageFacts, data: bytes) -> list[str]:
    """Compare the picture with its facts, and these with the header, where that is simple to read."""
    wrong = []
    said, found = sorted((facts.height, facts.width)), sorted(luminance.shape)
    reduced = [max(1, -(-side // scale)) for scale in (2, 4, 8) for side in said]
    if said != found and not ("reduced_dct" in facts.steps and set(found) <= set(reduced)):
        wrong.append(f"a picture of {luminance.shape}; its facts say {facts.height} x {facts.width}")
    header = header_size(data)
    if header is not None and sorted(header) != said:
        wrong.append(f"facts say {facts.width} x {facts.height}; the header {header[0]} x {header[1]}")
    if luminance.dtype != "uint8":
        wrong.append(f"a picture of {luminance.dtype}")
    return wrong


def answered_damaged(data: bytes) -> list[str]:
    """Say where a PNG has an answer that Pillow alone does not decode, even without what stands beside its pixels."""
    if recognise(data[:HEAD_BYTES]) != "PNG":
        return []
    try:
        with Image.open(io.BytesIO(without_notes(data))) as image:
            image.load()
    except Exception as error:
        return [f"a picture, of which Pillow says {error!r}"]
    return []


def header_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height as the header of a file says that was decoded; None for GIF and WebP."""
    found = recognise(data[:HEAD_BYTES])
    if found == "PNG":
        return struct.unpack_from(">II", data, 16)
    if found == "JPEG":
        frame = frame_of(data)
        return (frame.width, frame.height) if frame else None
    if found == "BMP" and struct.unpack_from("<I", data, 14)[0] >= 40:
        width, height = struct.unpack_from("<ii", data, 18)
        return width, abs(height)
    if found == "DICOM":
        dataset = dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
        return int(dataset.Columns), int(dataset.Rows)
    return None


@dataclass
class Tally:
    """What a number of inputs came to.

    Attributes:
        finds: A line each: number, seed, what is wrong.
        outcomes: How often each was.
        slowest: Seconds, number.
        largest: Bytes, resident, of reading process or child.
        inputs: How many were looked at.
    """

    finds: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    largest: int = 0
    inputs: int = 0


Report = tuple[int, list[str], Outcome, float, int]


def _work(connection: Connection, inputs: Callable[[int], tuple[str, bytes]]) -> None:
    faulthandler.disable()  # how this process dies is told by its exit status
    before = _largest()  # a fork has what its parent had
    while True:
        number = connection.recv()
        begin = time.monotonic()
        wrong, outcome = problems(inputs(number)[1])
        connection.send((number, wrong, outcome, time.monotonic() - begin, _largest() - before))


def _largest() -> int:
    """Return the most memory that this process or one of its children has held, in bytes."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return max([own, *map(_peak, [child._process.pid for child in isolation._idle])])


def _peak(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


class Looker:
    """A process that looks at inputs, and may die of one."""

    def __init__(self, inputs: Callable[[int], tuple[str, bytes]]) -> None:
        self._inputs, self._context = inputs, multiprocessing.get_context("fork")
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_work, args=(theirs, self._inputs), daemon=True)
        self._process.start()
        theirs.close()

    def look(self, number: int) -> Report:
        """Return what is wrong with an input, of which the process may have died."""
        self._connection.send(number)
        try:
            if self._connection.poll(HANG_SECONDS):
                found: Report = self._connection.recv()
                if found[4] <= MOST_BYTES:
                    return found
                number, wrong, outcome, seconds, size = found
                found = number, [*wrong, f"{size / 1e9:.1f} GB of memory"], outcome, seconds, size
            else:
                found = number, ["hangs the process that reads it"], ("hang",), HANG_SECONDS, 0
        except (EOFError, OSError):
            self._process.join(5)
            found = number, [f"ends the process that reads it: {self._process.exitcode}"], ("death",), 0, 0
        self.close()
        self._start()
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def look_at(numbers: Iterator[int], inputs: Callable[[int], tuple[str, bytes]], until: float, folder: Path) -> Tally:
    """Look at inputs until it is `until` by `time.monotonic`; print finds, and write their inputs to `folder`."""
    tally, looker = Tally(), Looker(inputs)
    try:
        for number in numbers:
            if time.monotonic() >= until:
                break
            _, wrong, outcome, seconds, size = looker.look(number)
            tally.inputs += 1
            tally.outcomes[outcome[0]] += 1
            tally.slowest = max(tally.slowest, (seconds, number))
            tally.largest = max(tally.largest, size)
            if wrong:
                name, data = inputs(number)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number}-{name}").write_bytes(data)
                tally.finds += [f"{number} {name}: {line}" for line in wrong]
                sys.stdout.write("".join(f"{line}\n" for line in tally.finds[-len(wrong) :]))
                sys.stdout.flush()
    finally:
        looker.close()
    return tally
