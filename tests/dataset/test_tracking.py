from pathlib import Path

import pytest

from cxr.dataset.tracking import drop_remote, require_dvc, with_expected_files
from cxr.errors import DataError, ParamsError
from tests.dataset.releases import PARAMS


def test_only_the_number_changes_and_comments_keep_their_column() -> None:
    changed = with_expected_files(PARAMS, 4533)
    assert changed == PARAMS.replace("expected_files: 1        #", "expected_files: 4533     #")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "prepare:\r\n    expected_files: 12\r\n    x: null\r\n",
            "prepare:\r\n    expected_files: 7\r\n    x: null\r\n",
        ),
        ("prepare: {expected_files: 1, x: [a]}", "prepare: {expected_files: 7, x: [a]}"),
        ("expected_files: 3\nprepare:\n  expected_files: 1", "expected_files: 3\nprepare:\n  expected_files: 7"),
        ("prepare:\n  expected_files: 123456 # c", "prepare:\n  expected_files: 7      # c"),
        ("prepare:\n  expected_files: 1 # c", "prepare:\n  expected_files: 7 # c"),
    ],
)
def test_any_way_of_writing_the_section_is_kept(before: str, after: str) -> None:
    assert with_expected_files(before, 7) == after


@pytest.mark.parametrize("text", ["prepare:\n  discard: []", "seed: 1", "prepare:\n  expected_files: many"])
def test_params_without_the_number_are_refused(text: str) -> None:
    with pytest.raises(ParamsError, match=r"no number prepare\.expected_files; add"):
        with_expected_files(text, 7)


def test_a_number_behind_an_anchor_is_refused_rather_than_garbled() -> None:
    with pytest.raises(ParamsError, match="is not a plain number"):
        with_expected_files("prepare:\n  expected_files: &n 1\n", 7)


def test_the_remote_goes_and_the_rest_of_a_dvc_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "data.dvc"
    path.write_text("# mine\nouts:\n- md5: '12.dir'\n  remote: sample\n  path: data   # here\nfrozen: true\n")
    drop_remote(path)
    assert path.read_text() == "# mine\nouts:\n- md5: '12.dir'\n  path: data   # here\nfrozen: true\n"


def test_a_folder_in_no_dvc_project_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not in a DVC project: run 'git init && dvc init' there, or give --no-dvc"):
        require_dvc(tmp_path)
    (tmp_path / ".dvc").mkdir()
    require_dvc(tmp_path)


def test_an_absent_dvc_is_refused_before_any_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cxr.dataset.tracking.importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="DVC is not installed here"):
        require_dvc(tmp_path)
