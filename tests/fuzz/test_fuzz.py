"""Some mutated files of each seed, and that whoever looks at them sees what is wrong."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.core.errors import ImageError, Reason
from cxr.core.image import ImageFacts
from cxr.imaging.decode import decode_bytes
from tests.fuzz import check
from tests.fuzz.check import Tally, look_at
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import OTHERS, seeds

FACTS = ImageFacts(2, 2, "L", 8, "BMP")


def looked(numbers: range, folder: Path) -> Tally:
    return look_at(iter(numbers), mutated, time.monotonic() + 3600, folder)


def test_there_are_51_seeds_and_each_is_the_drawn_picture() -> None:
    assert len(seeds()) == 51
    for name in seeds().keys() - OTHERS.keys() - {"frames.gif"}:
        brightness = decode_bytes(seeds()[name], check.SIDE)[0].mean()
        assert brightness == pytest.approx(137 if name == "no-preamble.dcm" else 117, abs=2), name
    with pytest.raises(ImageError, match=r"multi_frame: 2 frames"):
        decode_bytes(seeds()["frames.gif"], check.SIDE)


def test_an_input_is_a_function_of_its_number() -> None:
    some = range(0, 5100, 17)
    files = [mutated(number) for number in some]
    assert files == [mutated(number) for number in some]
    assert sum(data == seeds()[name] for name, data in files) < len(files) / 10
    assert len({data for _, data in files}) > 0.9 * len(files)


def test_mutated_files_cost_their_own_row_only(tmp_path: Path) -> None:
    tally = looked(range(408), tmp_path / "finds")
    assert tally.finds == []
    assert tally.inputs == 408
    assert {"picture", "unreadable", "truncated"} <= tally.outcomes.keys()
    assert not (tmp_path / "finds").exists()


@pytest.mark.long
def test_twenty_thousand_mutated_files(tmp_path: Path) -> None:
    assert looked(range(408, 20_408), tmp_path / "finds").finds == []


def fails(*_: object) -> Any:
    raise ValueError("of the decoder's own")


def says(detail: str) -> Callable[..., Any]:
    def refuse(*_: object) -> Any:
        raise ImageError(Reason.UNREADABLE, detail)

    return refuse


def changes(*_: object) -> Any:
    raise ImageError(Reason.UNREADABLE, f"at {time.monotonic_ns()}")


def dies(*_: object) -> Any:
    os.abort()


def sleeps(*_: object) -> Any:
    time.sleep(60)


def lies(*_: object) -> Any:
    return np.zeros((3, 2), np.uint8), FACTS


@pytest.mark.parametrize(
    ("decoder", "find"),
    [
        (fails, "raised ValueError"),
        (says("<_io.BytesIO object at 0x7f31c0de>"), "'<_io' in"),
        (says("cannot open /tmp/tmpabc"), "'/tmp/' in"),
        (says("'NoneType' has no rows"), "'NoneType' in"),
        (says(""), "a sentence of 0 characters"),
        (changes, "first ("),
        (dies, "ends the process that reads it: -6"),
        (sleeps, "hangs the process that reads it"),
        (lies, "a picture of (3, 2); its facts say 2 x 2"),
    ],
)
def test_what_is_wrong_is_found_and_kept(
    decoder: Callable[..., Any], find: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "decode_bytes", decoder)
    if decoder is sleeps:  # of the others a busy machine must not say so
        monkeypatch.setattr(check, "HANG_SECONDS", 2)
    tally = looked(range(1, 3), tmp_path / "finds")
    assert tally.inputs == 2
    assert {line.split(": ")[0] for line in tally.finds if find in line} == {"1 l.png", "2 la.png"}
    assert (tmp_path / "finds" / "1-l.png").read_bytes() == mutated(1)[1]


def test_an_answer_for_a_png_that_pillow_does_not_decode_is_found() -> None:
    """Number 925 has a row of an unknown filter, and right checksums."""
    assert check.answered_damaged(mutated(925)[1])[0].startswith("a picture, of which Pillow says OSError('unrecogn")
    assert not any(map(check.answered_damaged, seeds().values()))
