"""The page of `dvc plots show` that needs no network."""

import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.errors import DataError
from cxr.evaluation.reporting.dvc_plots import use_offline_page

PLOTS = """\
plots:
  - loss: {template: simple, x: epoch, y: {curve.csv: loss}}
"""


def dvc(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True)


def test_plots_are_drawn_by_the_page_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    project = tmp_path / "project"
    project.mkdir()
    dvc(project, "init", "--no-scm", "-q")
    (project / "dvc.yaml").write_text(PLOTS)
    (project / "curve.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    use_offline_page(project)
    dvc(project, "plots", "show")
    page = (project / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "vegaEmbed=" in page
    assert "0.25" in page
    assert not {"{plot_divs}", "{refresh_tag}"} & set(page.split())


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        use_offline_page(tmp_path)
