"""The two figures as PNG, for readers without DVC; equal inputs give equal bytes."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr.evaluation.candidates import Candidate
from cxr.evaluation.metrics import confusion
from cxr.files import whole_file

DOTS_PER_INCH = 110


def draw_confusion(path: Path, candidates: Sequence[Candidate]) -> None:
    """Draw the confusion matrices side by side: counts, and shade by share of the true class."""
    figure = Figure(figsize=(3.4 * len(candidates), 3.6), layout="constrained")
    axes = figure.subplots(1, len(candidates), squeeze=False)[0]
    for axis, candidate in zip(axes, candidates, strict=True):
        _matrix(axis, candidate)
    axes[0].set_ylabel("actual")
    _save(figure, path)


def draw_learning_curves(path: Path, candidates: Sequence[Candidate]) -> None:
    """Draw loss and accuracy by epoch: a colour a model, training dashed, validation solid."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    trained = [(candidate, candidate.history) for candidate in candidates if candidate.history is not None]
    for number, (candidate, history) in enumerate(trained):
        colour = f"C{number}"
        for axis, column in ((loss, "loss"), (accuracy, "accuracy")):
            axis.plot(history["epoch"], history[f"val_{column}"], color=colour, label=candidate.name)
            axis.plot(history["epoch"], history[column], color=colour, linestyle="--", alpha=0.5)
            axis.set(xlabel="epoch", ylabel=column)
    loss.set(title="solid: validation, dashed: training", yscale="log")
    accuracy.legend()
    _save(figure, path)


def _matrix(axis: Axes, candidate: Candidate) -> None:
    classes = candidate.model.classes
    matrix = confusion(candidate.test.truth, candidate.probabilities.argmax(axis=1), len(classes))
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in ((r, c) for r in range(len(classes)) for c in range(len(classes))):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour)
    names = [name.replace("_", "\n") for name in classes]
    axis.set_xticks(range(len(classes)), names)
    axis.set_yticks(range(len(classes)), names)
    axis.set(title=candidate.name, xlabel="predicted")


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as temporary:
        # Without the Software chunk, so that another matplotlib that draws the same gives the same bytes.
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
