import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from cxr.core.errors import OutputError, Reason, ResumeError
from cxr.core.image import Plane
from cxr.screening import journal as fingerprint
from cxr.screening.discovery import Shard
from cxr.screening.tables import locked, output_files, read_table
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel, FakeNetwork, Logits, by_brightness
from tests.screening.works import Notes, run_in, work_on


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for number in range(40):
        save(folder, f"{number:02}.png", (number, 3 * number, 5 * number))
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes").write_text("no image")
    return folder


class StopError(Exception):
    """Ends a run from within, as a kill would, but in this process."""


class Stopping(Notes):
    """Ends the run after a number of batches."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def screened(self, outcomes: object) -> None:
        super().screened(outcomes)  # type: ignore[arg-type]
        self.after -= 1
        if self.after == 0:
            raise StopError


def small_batches(identity: str = "fake-0123456789ab") -> FakeModel:
    return FakeModel(identity=identity)


def manifest(results: Path) -> dict[str, object]:
    return json.loads(results.with_suffix(".manifest.json").read_text())  # type: ignore[no-any-return]


def interrupted(output: Path, scans: Path, after: int = 2) -> None:
    with pytest.raises(StopError):
        run_in(output, work_on(scans, [small_batches()]), notes=Stopping(after))
    assert not output.exists()


def test_a_run_that_was_ended_goes_on_and_gives_the_bytes_of_one_that_was_not(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "whole.csv", work_on(scans))
    interrupted(tmp_path / "r.csv", scans)
    _, _, notes = run_in(tmp_path / "r.csv", work_on(scans, [small_batches()]))
    assert notes.kept == 16
    assert len(notes.outcomes) == 42 - 16
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_the_same_command_after_the_end_reads_only_what_failed(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    before = (tmp_path / "r.csv").read_bytes()
    _, _, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert (notes.kept, notes.retried, notes.screened_names) == (41, 1, ["empty.png"])
    assert (tmp_path / "r.csv").read_bytes() == before


def test_what_was_rejected_is_not_tried_again(scans: Path, tmp_path: Path) -> None:
    (scans / "frames.gif").write_bytes(two_frames())
    (scans / "text.png").write_text("no picture")
    run_in(tmp_path / "r.csv", work_on(scans))
    _, tally, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert {"multi_frame", "not_an_image"} <= {*tally.reasons}
    assert (notes.retried, notes.screened_names) == (1, ["empty.png"])


def two_frames() -> bytes:
    file = io.BytesIO()
    first, second = (Image.new("L", (40, 40), grey) for grey in (10, 200))
    first.save(file, "GIF", save_all=True, append_images=[second])
    return file.getvalue()


def test_a_file_that_failed_and_was_mended_gets_its_answer(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    save(scans, "empty.png")
    _, tally, _ = run_in(tmp_path / "r.csv", work_on(scans))
    assert (tally.ok, tally.rows) == (41, 41)


def test_a_file_replaced_since_is_screened_again_even_with_its_old_size_and_time(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    old = (scans / "05.png").stat()
    other = save(tmp_path, "other.png", (250, 0, 250)).read_bytes()
    (scans / "05.png").write_bytes(other.ljust(old.st_size, b"\0"))
    os.utime(scans / "05.png", ns=(old.st_atime_ns, old.st_mtime_ns))
    _, _, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert notes.screened_names == ["05.png", "empty.png"]


def test_a_new_file_is_screened_and_a_removed_one_has_no_row(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    save(scans, "00-new.png")
    (scans / "03.png").unlink()
    _, tally, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert notes.screened_names == ["00-new.png", "empty.png"]
    paths = [row["path"] for row in read_table(tmp_path / "r.csv")]
    assert "00-new.png" in paths
    assert "03.png" not in paths
    assert tally.rows == 41


def test_a_limit_is_no_other_run(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "whole.csv", work_on(scans))
    _, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, limit=10))
    assert tally.rows == 10
    _, _, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert notes.kept == 10
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_earlier_run_of_another_model_is_refused_and_named(scans: Path, tmp_path: Path) -> None:
    interrupted(tmp_path / "r.csv", scans)
    other = FakeModel(identity="other-0123456789ab", network_sha256="ff" * 32)
    with pytest.raises(ResumeError) as refused:
        run_in(tmp_path / "r.csv", work_on(scans, [other]))
    sentence = str(refused.value)
    assert "another model (then fake-0123456789ab with description 232323232323, now other-" in sentence
    assert "--overwrite" in sentence
    assert "another decoder" not in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"description_sha256": "45" * 32}, "another model"),
        ({"root": True}, "another folder that paths are relative to"),
        ({"version": "9.9"}, "another version of cxr-batch (then 0.1.0, now 9.9)"),
        ({"library": "pillow"}, "another decoder (its code or the version of a library) (pillow then"),
        ({"code": True}, "another decoder (its code or the version of a library) (code then"),
    ],
)
def test_every_part_of_the_fingerprint_is_compared_and_named(
    change: dict[str, object], words: str, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path / "r.csv", scans)
    model = FakeModel(description_sha256=str(change.get("description_sha256", "23" * 32)))
    if "version" in change:
        monkeypatch.setattr(fingerprint, "__version__", change["version"])
    if "library" in change or "code" in change:
        real = fingerprint.decoder()
        monkeypatch.setattr(fingerprint, "decoder", lambda: real | {str(change.get("library", "code")): "0"})
    folder = scans
    if "root" in change:
        folder = scans.rename(tmp_path / "moved")
    with pytest.raises(ResumeError) as refused:
        run_in(tmp_path / "r.csv", work_on(folder, [model]))
    assert words in str(refused.value)


def test_overwrite_starts_over(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    other = FakeModel(FakeNetwork(lambda planes: -by_brightness(planes)), identity="other-1")
    _, _, notes = run_in(tmp_path / "r.csv", work_on(scans, [other]), overwrite=True)
    assert (notes.kept, len(notes.outcomes)) == (0, 42)
    assert {row["model"] for row in read_table(tmp_path / "r.csv")} == {"other-1"}


def test_a_table_without_its_journal_is_not_replaced_unasked(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("precious")
    with pytest.raises(ResumeError, match="--overwrite"):
        run_in(tmp_path / "r.csv", work_on(scans))
    assert (tmp_path / "r.csv").read_text() == "precious"


def test_until_the_new_table_is_whole_the_old_one_stays(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    old = (tmp_path / "r.csv").read_bytes()
    with pytest.raises(StopError):
        run_in(tmp_path / "r.csv", work_on(scans, [small_batches("b-1")]), overwrite=True, notes=Stopping(1))
    assert (tmp_path / "r.csv").read_bytes() == old


def test_counts_of_the_manifest_add_up_and_name_what_has_no_row(scans: Path, tmp_path: Path) -> None:
    (scans / ".hidden.png").write_bytes(b"x")
    os.mkfifo(scans / "pipe")
    run_in(tmp_path / "r.csv", work_on(scans, limit=41))
    facts = manifest(tmp_path / "r.csv")
    counts = facts["counts"]
    assert isinstance(counts, dict)
    assert counts["discovered"] == 44
    assert counts["ok"] + counts["rejected"] + counts["error"] + counts["skipped"] == 44
    assert counts["skipped_because"] == {
        "not_an_image": 0,
        "special": 1,
        "hidden": 1,
        "excluded": 0,
        "other_shards": 0,
        "beyond_limit": 1,
    }
    run_in(tmp_path / "r.csv", work_on(scans))
    aside = manifest(tmp_path / "r.csv")["aside"]
    assert isinstance(aside, dict)
    assert (aside["not_an_image"], aside["special"]) == (["notes"], ["pipe"])


def test_a_network_that_fails_for_a_while_costs_a_retry_and_no_row(scans: Path, tmp_path: Path) -> None:
    def failing(_: Plane) -> Logits:
        raise RuntimeError("driver lost")

    _, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, [FakeModel(FakeNetwork(failing))]))
    assert tally.reasons == {Reason.NETWORK: 40, Reason.EMPTY: 1}
    run_in(tmp_path / "whole.csv", work_on(scans))
    run_in(tmp_path / "r.csv", work_on(scans))
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_shards_have_every_file_once(scans: Path, tmp_path: Path) -> None:
    paths: list[str] = []
    for number in (1, 2, 3):
        run_in(tmp_path / f"{number}.csv", work_on(scans, shard=Shard(number, 3)))
        paths += [row["path"] for row in read_table(tmp_path / f"{number}.csv")]
    run_in(tmp_path / "whole.csv", work_on(scans))
    assert sorted(paths) == [row["path"] for row in read_table(tmp_path / "whole.csv")]


def test_two_runs_cannot_write_one_output(tmp_path: Path) -> None:
    files = output_files(tmp_path / "r.csv")
    with locked(files), pytest.raises(OutputError, match="another cxr-batch is writing"), locked(files):
        pass
    with locked(files):
        pass


def test_the_manifest_of_another_table_is_not_replaced(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    with pytest.raises(OutputError, match=r"describes r.csv, not r.jsonl"):
        output_files(tmp_path / "r.jsonl")


def test_the_decoders_digest_covers_every_module_between_bytes_and_plane() -> None:
    from cxr.screening.journal import DECODER_CODE
    from tests.imports import closure

    modules = {path for path in closure(Path("cxr/imaging/decode.py")) if not path.endswith("__init__.py")}
    places = tuple(f"cxr/{place}" for place in DECODER_CODE)
    assert {path for path in modules if not path.startswith(places)} == {
        "cxr/core/errors.py",
        "cxr/core/process.py",
    }
