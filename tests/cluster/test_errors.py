"""What becomes of an error that a worker raised, or of Ray's own."""

import pytest

from cxr.cluster.engine import told
from cxr.errors import DataError, OutputError


class TaskError(Exception):
    """As Ray's: the worker's error is its `cause`, or the one that it was raised from."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(text)
        self.cause = cause


def test_a_workers_own_error_is_told_as_it_was_raised() -> None:
    full = OutputError("cannot write parts: No space left on device")
    assert told(TaskError("a long trace", full)) is full
    with pytest.raises(TaskError) as caught:
        raise TaskError("a long trace") from TaskError("another", full)
    assert told(caught.value) is full


def test_any_other_error_of_ray_says_how_to_go_on() -> None:
    error = told(TaskError("many lines\nthe object store is gone"))
    assert isinstance(error, DataError)
    assert "Ray ended before the files did (the object store is gone); what was done is kept" in str(error)
