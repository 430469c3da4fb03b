"""What a worker does, without Ray around it."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.cluster.shipment import Shipment, ship
from cxr.cluster.worker import MOST_TRIES, Worker, packed
from cxr.errors import DataError, ResumeError
from cxr.model_folder import load_model
from cxr.screening.fingerprint import fingerprint_of
from cxr.screening.parts import Parts, begin_parts
from cxr.screening.work import Work
from tests.screening.drawings import save
from tests.screening.works import work_on
from tests.shipped import ungated


@pytest.fixture
def work(tmp_path: Path) -> Work:
    for number in range(3):
        save(tmp_path / "scans", f"{number}.png", (40 * number, 90, 200))
    (tmp_path / "scans" / "notes").write_text("no picture")
    return work_on(tmp_path / "scans", [load_model(ungated(tmp_path / "model"))])


@pytest.fixture
def shipment(work: Work, tmp_path: Path) -> Shipment:
    folder = tmp_path / "r.csv.parts"
    fingerprint = fingerprint_of(work.models, work.asked.naming, ())
    begin_parts(folder, {"fingerprint": fingerprint})
    return ship(work, folder, fingerprint)


def test_a_slice_becomes_a_part_with_a_record_a_file(work: Work, shipment: Shipment) -> None:
    candidates = work.selection.candidates
    done = Worker(pickle.loads(pickle.dumps(shipment)))({"part": 4, "candidates": packed(candidates)})

    assert done["part"] == 4
    with Parts(shipment.parts) as parts:
        records = [parts.record_at(place) for place in done["places"]]
    assert [one["path"] for one in records] == ["0.png", "1.png", "2.png", "notes"]
    assert ["cells" in one for one in records] == [True, True, True, False]
    assert not list(shipment.parts.glob("*.tries"))


def test_a_slice_that_killed_every_worker_is_named(work: Work, shipment: Shipment) -> None:
    (shipment.parts / "00000000.tries").write_bytes(b"." * MOST_TRIES)
    with pytest.raises(DataError, match=r"4 workers died one after the other while they screened 0\.png to notes"):
        Worker(shipment)({"part": 0, "candidates": packed(work.selection.candidates)})


def test_a_node_with_another_decoder_is_refused(shipment: Shipment) -> None:
    other = {**shipment.fingerprint["decoder"], "pillow": "1.0"}
    with pytest.raises(ResumeError, match=r"pillow then .*, now 1\.0.*install the same versions on every node"):
        Worker(replace(shipment, fingerprint=shipment.fingerprint | {"decoder": other}))


def test_a_node_without_the_folder_is_refused(shipment: Shipment, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a worker cannot see .*elsewhere; .* every node has at the same path"):
        Worker(replace(shipment, parts=tmp_path / "elsewhere"))
