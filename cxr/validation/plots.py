"""Curves of an evaluation as pictures for print: SVG, and PNG at 300 dpi; equal bytes for equal figures."""

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.core.errors import DataError
from cxr.core.files import make_folder, whole_file
from cxr.validation.external import AnswerPoint, Curves, DecisionCurve, NetworkEvaluation, TableEvaluation
from cxr.validation.labels import LEAVE_OUT
from cxr.validation.measures import PROBABLE, REFERRED, by_key
from cxr.validation.report import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

DPI = 300
SIDE, LEGEND = 4.0, 0.9  # inches: of the drawing without its legend, and of the legend below it
NO_BREAK = "\N{NO-BREAK SPACE}"
CHARACTERS_PER_INCH = 13  # of a title of 9 points; 16.5 fit on average
# Okabe and Ito 2008: told apart by the colour-blind, and in print by their line styles too.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
_STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"))
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "cxr-eval",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def draw_figures(report: TableEvaluation, folder: Path) -> tuple[Path, ...]:
    """Draw every network's curves and its confusion, and return the files.

    Args:
        report: Of a table.
        folder: Made where it is not there; its files of the same names are replaced.

    Raises:
        DataError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise DataError("--figures needs matplotlib, which is not installed: pip install matplotlib") from error
    make_folder(folder)
    written: list[Path] = []
    with mpl.rc_context(_SETTINGS):
        for network in report.networks:
            start = f"{_file_name(network.network)}-" if len(report.networks) > 1 else ""
            for name, drawing in _drawings(network):
                written += [_save(drawing, folder / f"{start}{name}.{kind}") for kind in ("svg", "png")]
    return tuple(written)


def _file_name(network: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", network)


def _save(drawing: "Drawing", path: Path) -> Path:
    kind = path.suffix[1:]
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with whole_file(path) as temporary:
        drawing.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
    return path


def _drawings(network: NetworkEvaluation) -> Iterator[tuple[str, "Drawing"]]:
    curves, target = network.curves, network.target
    if curves and target and 0 < curves.positive < curves.n:  # of one side alone the curves say nothing
        drawn: tuple[tuple[str, Callable[[Axes, NetworkEvaluation, Curves, str], None]], ...] = (
            ("roc", _roc),
            ("precision-recall", _precision_recall),
            ("calibration", _calibration),
            ("decision-curve", _decision_curve),
        )
        for name, draw in drawn:
            drawing, axes = _axes(SIDE, SIDE + LEGEND)
            draw(axes, network, curves, target)
            rest = curves.n - curves.positive
            _write_title(drawing, network, f"{target} against the rest, {curves.positive:,} : {rest:,} files")
            yield name, drawing
    yield "confusion", _confusion(network)


def _axes(width: float, height: float) -> "tuple[Drawing, Axes]":
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, drawing.subplots()


def _write_title(drawing: "Drawing", network: NetworkEvaluation, what: str) -> None:
    """Write what is drawn above the whole drawing, in as many lines as its width takes."""
    trained = bool(network.in_training_set and network.in_training_set.number)
    note = f" ({NAMES[network.believed].replace(' ', NO_BREAK)})" if trained else ""
    width = int(CHARACTERS_PER_INCH * drawing.get_figwidth())
    lines = [line for text in (network.network, f"{what}{note}") for line in textwrap.wrap(text, width)]
    drawing.suptitle("\n".join(lines), x=0.02, ha="left", fontsize=9)


def _unit(axes: "Axes", across: str, up: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up, aspect="equal")
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def _legend_below(axes: "Axes", title: str | None = None) -> None:
    """Lay the legend below the axes: within them, there are figures whose curve goes through any corner."""
    drawing = axes.get_figure()
    assert drawing is not None
    drawing.legend(
        *axes.get_legend_handles_labels(), loc="outside lower left", title=title, title_fontsize=8, alignment="left"
    )


def _words(network: NetworkEvaluation, metric: str, name: str) -> str:
    """Return a figure of the believed files as `0.912 [0.885, 0.931]`."""
    from cxr.evaluation.stats.intervals import NUMBER

    (one,) = (one for one in network.sets if (one.files, one.by) == (network.believed, ""))
    return NUMBER.interval(by_key(one.figures)[(metric, name, None)].value)


def _roc(axes: "Axes", network: NetworkEvaluation, curves: Curves, target: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="chance")
    auc = _words(network, "auc", target)
    axes.plot(curves.roc.fpr, curves.roc.tpr, color=BLUE, label=f"AUC {auc}")
    for point in curves.points:
        _point(axes, point, None if point.specificity is None else 1 - point.specificity, point.sensitivity)
    _unit(axes, "1 - specificity", "sensitivity")
    _legend_below(axes)


_MARKS = {PROBABLE: (ORANGE, "o", "most probable class"), REFERRED: (GREEN, "^", "suspected or referred")}


def _point(axes: "Axes", point: AnswerPoint, across: float | None, up: float | None) -> None:
    colour, marker, label = _MARKS[point.reading]
    if across is not None and up is not None:
        axes.plot([across], [up], color=colour, marker=marker, linestyle="none", label=label)


def _precision_recall(axes: "Axes", network: NetworkEvaluation, curves: Curves, target: str) -> None:
    share = curves.positive / curves.n
    axes.axhline(share, color=GREY, linewidth=0.8, linestyle=":", label=f"share of {target}: {share:.3f}")
    precision = _words(network, "average_precision", target)
    axes.plot(
        curves.precision_recall.recall,
        curves.precision_recall.precision,
        color=BLUE,
        drawstyle="steps-post",
        label=f"average precision\n{precision}",
    )
    for point in curves.points:
        _point(axes, point, point.sensitivity, point.ppv)
    _unit(axes, "recall (sensitivity)", "precision (PPV)")
    _legend_below(axes)


def _calibration(axes: "Axes", network: NetworkEvaluation, curves: Curves, target: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="probabilities that are true")
    across = [one.confidence or 0 for one in curves.reliability]
    up = [one.accuracy or 0 for one in curves.reliability]
    below = [max(value - (one.low or 0), 0) for value, one in zip(up, curves.reliability, strict=True)]
    above = [max((one.high or 0) - value, 0) for value, one in zip(up, curves.reliability, strict=True)]
    axes.errorbar(
        across, up, yerr=[below, above], color=BLUE, marker="o", markersize=4, capsize=2, linewidth=1,
        label=f"about {curves.n // len(curves.reliability):,} files each, 95 %",
    )  # fmt: skip
    _unit(axes, f"mean probability of {target}", f"share of {target}")
    slope, intercept = (_words(network, f"calibration_{what}", target) for what in ("slope", "intercept"))
    _legend_below(axes, title=f"slope {slope}\nintercept {intercept}")


def _decision_curve(axes: "Axes", _: NetworkEvaluation, curves: Curves, target: str) -> None:
    drawn = curves.decision[: len(_STYLES)]
    for curve, (colour, style) in zip(drawn, _STYLES, strict=False):
        across = [point.threshold for point in curve.points]
        label = _share_words(curve, target)
        network, everyone = ([getattr(point, line) for point in curve.points] for line in ("network", "all"))
        axes.plot(across, network, color=colour, linestyle=style, label=f"network, {label}")
        axes.plot(across, everyone, color=colour, linewidth=0.7, linestyle=style)
    axes.axhline(0, color=GREY, linewidth=0.8)
    highest = max((point.network or 0 for curve in drawn for point in curve.points), default=0.1)
    axes.set(xlim=(0, 1), ylim=(-0.3 * highest - 0.005, 1.15 * highest + 0.005))
    axes.set(xlabel=f"threshold of the probability of {target}", ylabel="net benefit per file")
    axes.grid(color="#dddddd", linewidth=0.5)
    _legend_below(axes, title="thin: acting on all; grey: on none")


def _share_words(curve: DecisionCurve, target: str) -> str:
    return f"{100 * curve.prevalence:.3g} % {target}{', as labelled' if curve.as_labelled else ''}"


def _confusion(network: NetworkEvaluation) -> "Drawing":
    labels = [label for label in network.labels if label.means != LEAVE_OUT]
    counts = [[label.predicted[name] for name in network.classes] for label in labels]
    drawing, axes = _axes(2.2 + 0.9 * len(network.classes), 1.6 + 0.5 * len(labels))
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for up, row in enumerate(counts):
        for across, count in enumerate(row):
            share = shares[up][across]
            words = f"{count:,}\n{100 * share:.1f} %" if sum(row) else "0"
            axes.text(across, up, words, ha="center", va="center", fontsize=8,
                      color="white" if share > 0.6 else "black")  # fmt: skip
    axes.set_xticks(range(len(network.classes)), network.classes, rotation=20, ha="right")
    axes.set_yticks(range(len(labels)), [label.label for label in labels])
    axes.set(xlabel="most probable class", ylabel="label")
    axes.spines[:].set_visible(False)
    _write_title(drawing, network, "files, and their share of the files of the label")
    return drawing
