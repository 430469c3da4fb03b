import re
import sys

import numpy as np
import pytest
from PIL import Image

from cxr.core.errors import DataError
from cxr.validation.plots import _drawings, draw_figures
from tests.validation.tables import row, rows, unanswered
from tests.validation.test_external import ask, evaluate, trained

NAMES = ("calibration", "confusion", "decision-curve", "precision-recall", "roc")


def test_each_curve_is_drawn_as_svg_and_png_for_print(tmp_path):
    report = evaluate(trained(rows(90), 0), question=ask(prevalences=(0.02,), seed=1))
    written = draw_figures(report, tmp_path / "new" / "figures")
    assert sorted(path.name for path in written) == [f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert round(picture.info["dpi"][0]) == 300
                assert min(picture.size) > 600
        else:
            assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", path.read_text())


@pytest.mark.parametrize("skill", [0.5, 3])
@pytest.mark.parametrize("shares", [(), (0.02, 0.1, 0.3)])
def test_no_legend_lies_over_a_curve(skill, shares):
    report = evaluate(trained(rows(90, skill=skill), 0), question=ask(prevalences=shares, seed=1))
    with_legend = []
    for name, drawing in _drawings(report.networks[0]):
        drawing.draw_without_rendering()
        assert all(axes.get_legend() is None for axes in drawing.axes)
        for legend in drawing.legends:
            with_legend.append(name)
            box = legend.get_window_extent()
            assert not any(box.overlaps(axes.get_tightbbox()) for axes in drawing.axes)
            assert drawing.bbox.x0 <= box.x0
            assert box.x1 <= drawing.bbox.x1
            assert drawing.bbox.y0 <= box.y0
    assert with_legend == ["roc", "precision-recall", "calibration", "decision-curve"]


def test_equal_reports_give_equal_pictures(tmp_path):
    report = evaluate(rows(30))
    first, second = (draw_figures(report, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("name", ["n", 5 * "network-", "x" * 60])
def test_titles_stay_within_the_picture(tmp_path, name):
    table = [one | {"model": name} for one in trained(rows(90), 0)]
    for path in draw_figures(evaluate(table, question=ask(seed=1)), tmp_path):
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert np.asarray(picture.convert("L"))[:, -3:].min() == 255, path.name


def test_a_label_without_answered_files_has_no_share(tmp_path):
    table = [*(one for one in rows(30) if not one["path"].startswith("normal/")), unanswered("normal/x.png")]
    draw_figures(evaluate(table, question=ask(target="covid")), tmp_path)
    drawn = re.findall("<!-- (.+) -->", (tmp_path / "confusion.svg").read_text())
    assert drawn.count("0") - drawn.count("0.0 %") == 3


def test_each_network_of_several_has_its_own_pictures(tmp_path):
    table = [row(f"covid/{i}.png", i % 3, i, prefix="b_", model="b/1") | one for i, one in enumerate(rows(9))]
    names = {path.name for path in draw_figures(evaluate(table), tmp_path)}
    assert {"b_1-roc.svg", "cnn1-0123456789ab-roc.svg"} <= names


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_files_are_drawn_as_far_as_they_go(tmp_path, count):
    drawn = draw_figures(evaluate([*rows(count), unanswered("normal/x.png")], question=ask(target="covid")), tmp_path)
    names = {path.name for path in drawn}
    assert names == {"confusion.svg", "confusion.png"} if count == 1 else {"confusion.svg", "calibration.svg"} <= names


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DataError, match="--figures needs matplotlib, which is not installed: pip install matplotlib"):
        draw_figures(evaluate(rows(3)), tmp_path)
