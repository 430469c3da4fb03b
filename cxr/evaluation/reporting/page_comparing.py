"""How training went, and whether the models differ."""

from cxr.evaluation.reporting.blocks import Block, Cell, Grid, Paragraph, Section, Table
from cxr.evaluation.reporting.cells import count, interval, not_measured, number, p_value, table, text
from cxr.evaluation.reporting.charts_learning import learning_charts
from cxr.files import JsonObject


def learning_section(report: JsonObject) -> Section:
    """Learning curves that answer to pointer and legend."""
    rows = report.get("learning_curves") or []
    if not rows:
        return Section("learning", "Learning curves", [not_measured("Learning curves")])
    words = "Point at an epoch to read all models; click a model in the legend to show it alone, shift-click for more."
    return Section("learning", "Learning curves", [Paragraph((words,)), Grid(tuple(learning_charts(rows)))])


def comparisons_section(report: JsonObject) -> Section:
    """Each pair of models on the same images."""
    pairs = report.get("comparisons") or []
    title = "Do the models differ?"
    if not pairs:
        return Section("comparisons", title, [not_measured("Comparisons", "one model, or too few images")])
    words = (
        "All on the same test images. p is that of the exact McNemar test, corrected for the number of pairs after "
        "Holm; a pair that is not told apart is not shown to be equal. The smallest gap is the one that these "
        "images could have shown, given on how many the two disagree."
    )
    blocks: list[Block] = [Paragraph((words,)), _answers(pairs), _others(pairs)]
    return Section("comparisons", title, blocks)


def _answers(pairs: list[JsonObject]) -> Table:
    header = [
        "first, second",
        "gap of accuracy",
        "only first right",
        "only second",
        "p",
        "p, Holm",
        "smallest gap",
        "in points",
    ]
    rows = [
        [
            _pair(one),
            interval(one.get("accuracy_gap"), sign=True),
            count(one.get("only_a_right")),
            count(one.get("only_b_right")),
            p_value(one.get("p")),
            p_value(one.get("p_holm")),
            count(one.get("detectable_gap_images")),
            number(one.get("detectable_gap_points")),
        ]
        for one in pairs
    ]
    return table("Right answers", header, rows, ("The smallest gap in images, and in percentage points.",))


def _others(pairs: list[JsonObject]) -> Table:
    header = ["first, second", "gap of macro AUC", "p of AUC, DeLong", "p, Holm", "gap of log loss"]
    rows = [
        [
            _pair(one),
            interval(one.get("auc_gap"), sign=True),
            p_value(one.get("auc_p")),
            p_value(one.get("auc_p_holm")),
            interval(one.get("log_loss_gap"), sign=True),
        ]
        for one in pairs
    ]
    return table("Probabilities", header, rows, ("DeLong's test is of the AUC of the target class.",))


def _pair(one: JsonObject) -> Cell:
    return text(f"{one['a']}, {one['b']}")
