"""What becomes of an error that a worker raised, or of Ray's own."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.core.errors import DataError, OutputError, ResumeError
from cxr.inference.model_folder import load_model
from cxr.screening.engine import Run
from cxr.screening.journal import Parts, begin_parts, fingerprint_of
from cxr.screening.ray_engine import MOST_TRIES, Worker, WorkerPayload, packed, ray_session, told, worker_payload
from tests.screening.drawings import save
from tests.screening.works import work_on
from tests.shipped import ungated


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


def test_a_ray_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def busy(*_: object, **__: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because")

    monkeypatch.setattr(ray, "init", busy)
    with (
        pytest.raises(DataError, match=r"^Ray at this machine cannot be reached: The current node timed out during"),
        ray_session(None, 1),
    ):
        pass


def test_any_other_error_of_ray_says_how_to_go_on() -> None:
    error = told(TaskError("many lines\nthe object store is gone"))
    assert isinstance(error, DataError)
    assert "Ray ended before the files did (the object store is gone); what was done is kept" in str(error)


@pytest.fixture
def work(tmp_path: Path) -> Run:
    for number in range(3):
        save(tmp_path / "scans", f"{number}.png", (40 * number, 90, 200))
    (tmp_path / "scans" / "notes").write_text("no picture")
    return work_on(tmp_path / "scans", [load_model(ungated(tmp_path / "model"))])


@pytest.fixture
def payload(work: Run, tmp_path: Path) -> WorkerPayload:
    folder = tmp_path / "r.csv.parts"
    fingerprint = fingerprint_of(work.models, work.request.naming, ())
    begin_parts(folder, fingerprint)
    return worker_payload(work, folder, fingerprint)


def test_a_slice_becomes_a_part_with_a_record_a_file(work: Run, payload: WorkerPayload) -> None:
    candidates = work.selection.candidates
    done = Worker(pickle.loads(pickle.dumps(payload)))({"part": 4, "candidates": packed(candidates)})

    assert done["part"] == 4
    with Parts(payload.parts) as parts:
        records = [parts.record_at(place) for place in done["places"]]
    assert [one.path for one in records] == ["0.png", "1.png", "2.png", "notes"]
    assert [one.cells is not None for one in records] == [True, True, True, False]
    assert not list(payload.parts.glob("*.tries"))


def test_a_slice_that_killed_every_worker_is_named(work: Run, payload: WorkerPayload) -> None:
    (payload.parts / "00000000.tries").write_bytes(b"." * MOST_TRIES)
    with pytest.raises(DataError, match=r"4 workers died one after the other while they screened 0\.png to notes"):
        Worker(payload)({"part": 0, "candidates": packed(work.selection.candidates)})


def test_a_node_with_another_decoder_is_refused(payload: WorkerPayload) -> None:
    other = {**payload.fingerprint.decoder, "pillow": "1.0"}
    with pytest.raises(ResumeError, match=r"pillow then .*, now 1\.0.*install the same versions on every node"):
        Worker(replace(payload, fingerprint=replace(payload.fingerprint, decoder=other)))


def test_a_node_without_the_folder_is_refused(payload: WorkerPayload, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a worker cannot see .*elsewhere; .* every node has at the same path"):
        Worker(replace(payload, parts=tmp_path / "elsewhere"))
