"""Write what an evaluation leaves: reports, tables, figures, pictures, and the model that screens, also packaged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ModelError
from cxr.core.files import (
    JsonObject,
    copy_file,
    make_folder,
    remove,
    sha256_of,
    whole_file,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)
from cxr.core.image import Plane, to_plane
from cxr.core.manifest import write_table
from cxr.core.pages import heat_over_film, image_bytes
from cxr.core.records import as_json, parts
from cxr.evaluation.candidates import Candidate
from cxr.evaluation.records import ModelReport, Report
from cxr.evaluation.report import metrics_json, top_metrics
from cxr.evaluation.reporting.document import Pictures
from cxr.evaluation.reporting.model_card import describe_for_card, render_card
from cxr.evaluation.reporting.page import render_html, render_markdown
from cxr.evaluation.stats.classification import confusion
from cxr.inference.decisions import DECISIONS_FILE
from cxr.inference.gate import FLAGS, GATE_FILES
from cxr.inference.lungs import LUNGS, LUNGS_FILES
from cxr.inference.model_folder import (
    copy_gate,
    copy_lungs,
    describe_model,
    load_decisions,
    load_model_gate,
    load_model_lungs,
)
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, NETWORK_WEIGHTS_FILE, enlarge, fingerprint, scaled
from cxr.inference.outputs import write_outputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110


def draw_confusion(path: Path, candidates: Sequence[Candidate]) -> None:
    """Draw the confusion matrices side by side: counts, and shade by share of the true class."""
    from matplotlib.figure import Figure  # here, so that who packages a model does without

    figure = Figure(figsize=(3.4 * len(candidates), 3.6), layout="constrained")
    axes = figure.subplots(1, len(candidates), squeeze=False)[0]
    for axis, candidate in zip(axes, candidates, strict=True):
        _matrix(axis, candidate)
    axes[0].set_ylabel("actual")
    _save(figure, path)


def draw_learning_curves(path: Path, candidates: Sequence[Candidate]) -> None:
    """Draw loss and accuracy by epoch: a colour a model, training dashed, validation solid."""
    from matplotlib.figure import Figure

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


def _matrix(axis: "Axes", candidate: Candidate) -> None:
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


def _save(figure: "Figure", path: Path) -> None:
    with whole_file(path) as temporary:
        # Without the Software chunk, so that another matplotlib that draws the same gives the same bytes.
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def predictions_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per model and test image.

    model, file, actual, predicted, probability_<class> (calibrated), all from the network alone; then as cxr-batch
    writes them prediction_set, decision, refer_reason (all empty where the gate rejects), reason (why it does) and
    flags (what the gate saw).
    """
    return pd.concat([_answers(candidate) for candidate in candidates], ignore_index=True)


def learning_curves_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per trained model and epoch, with the columns of history.csv after `model`."""
    trained = [(c.name, c.history) for c in candidates if c.history is not None]
    return pd.concat([history.assign(model=name)[["model", *history.columns]] for name, history in trained])


def roc_table(models: Sequence[ModelReport]) -> pd.DataFrame:
    """Return one row per model, class and point of the ROC curve: model, class, fpr, tpr."""
    rows = [
        {"model": model.name, "class": curve.label, "fpr": fpr, "tpr": tpr}
        for model in models
        for curve in model.roc
        for fpr, tpr in zip(curve.fpr, curve.tpr, strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "class", "fpr", "tpr"])


def reliability_table(models: Sequence[ModelReport]) -> pd.DataFrame:
    """Return one row per model and bin: model, confidence, accuracy, low, high, n."""
    return _per_model(models, lambda model: model.calibration.reliability)


def risk_coverage_table(models: Sequence[ModelReport]) -> pd.DataFrame:
    """Return one row per model and point: model, coverage, risk."""
    return _per_model(models, lambda model: model.selective.curve)


def _per_model(models: Sequence[ModelReport], points: Callable[[ModelReport], Iterable[object]]) -> pd.DataFrame:
    return pd.DataFrame([{"model": model.name, **parts(point)} for model in models for point in points(model)])


def _answers(candidate: Candidate) -> pd.DataFrame:
    test, calibrated = candidate.test, candidate.probabilities
    classes = np.array(candidate.model.classes)
    probabilities = {
        f"probability_{label}": calibrated[:, column].round(6) for column, label in enumerate(candidate.model.classes)
    }
    return pd.DataFrame(
        {
            "model": candidate.name,
            "file": test.files,
            "actual": classes[test.truth],
            "predicted": classes[calibrated.argmax(axis=1)],
            **probabilities,
            **_decided(candidate),
        }
    )


def _decided(candidate: Candidate) -> dict[str, list[str]]:
    decided, judged = candidate.test_decided, candidate.test_judged
    return {
        "prediction_set": [" ".join(one.classes) or "empty" if one else "" for one in decided],
        "decision": [one.word if one else "" for one in decided],
        "refer_reason": [str(one.reason or "") if one else "" for one in decided],
        "reason": judged.reasons.tolist(),
        "flags": [" ".join(flag for flag, is_seen in zip(FLAGS, row, strict=True) if is_seen) for row in judged.flags],
    }


def write_saved_outputs(folder: Path, candidates: Sequence[Candidate]) -> None:
    """Write <model>.npz: logits, features, files, groups and sources of every image of the split table."""
    for candidate in candidates:
        write_outputs(folder / f"{candidate.name}.npz", candidate.outputs)


def write_reports(folder: Path, candidates: Sequence[Candidate], report: Report, pictures: Pictures) -> None:
    """Write the report in its three forms, and the metrics, tables and figures that DVC shows.

    The folders metrics, plots and figures hold nothing else afterwards: what an earlier evaluation left there, of
    other networks, would be shown beside this one's.
    """
    owned = (folder / name for name in ("metrics", "plots", "figures"))
    with ExitStack() as stack:
        metrics, plots, figures = (stack.enter_context(whole_folder(one)) for one in owned)
        for model, candidate in zip(report.models, candidates, strict=True):
            write_json(metrics / f"{model.name}.json", top_metrics(model, candidate.decisions.default_point))
        write_table(plots / "roc.csv", roc_table(report.models))
        write_table(plots / "reliability.csv", reliability_table(report.models))
        write_table(plots / "risk_coverage.csv", risk_coverage_table(report.models))
        draw_confusion(figures / "confusion.png", candidates)
        draw_learning_curves(figures / "learning_curves.png", candidates)
    write_json(folder / "measures.json", {model.name: metrics_json(model) for model in report.models})
    write_table(folder / "predictions.csv", predictions_table(candidates))
    write_table(folder / "learning_curves.csv", learning_curves_table(candidates))
    write_json(folder / "environment.json", environments(candidates))
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", render_markdown(report))
    write_text(folder / "report.html", render_html(report, pictures))


def environments(candidates: Sequence[Candidate]) -> dict[str, Mapping[str, str]]:
    """Return what each network was trained with, by its name; the next training compares itself with it."""
    return {candidate.name: candidate.model.description["environment"] for candidate in candidates}


def write_card(folder: Path, description: Mapping[str, Any]) -> None:
    """Write model_card.md of the chosen network."""
    write_text(folder / "model_card.md", render_card(dict(description)))


SIDE = 160  # pixels
GREYS, HEATS = 32, 8  # their product is a palette of 256 colours, a third of the bytes of full colour


def thumbnail(plane: Plane) -> bytes:
    """Return uint8 (side, side) as grey PNG bytes, 160 pixels a side; equal planes give equal bytes."""
    return _png(Image.fromarray(to_plane(plane, SIDE)))


def overlay(plane: Plane, cam: NDArray[np.float32]) -> bytes:
    """Return the plane in grey with the map in colour over it, as PNG bytes; where the map is 0 the film is untouched.

    Args:
        plane: uint8 (side, side).
        cam: float32 (h, w), 0 or larger; its largest value is drawn as the ramp's end.
    """
    heat = enlarge(scaled(cam), SIDE)
    grey = to_plane(plane, SIDE) // (256 // GREYS)
    image = Image.fromarray((grey * HEATS + np.rint(heat * (HEATS - 1))).astype(np.uint8))
    image.putpalette(_palette().tobytes())
    return _png(image)


def _palette() -> NDArray[np.uint8]:
    """Return uint8 (GREYS * HEATS, 3), heat changing fastest."""
    heat = np.linspace(0, 1, HEATS)
    grey = (np.arange(GREYS) + 0.5) * (256 / GREYS)
    return heat_over_film(grey[:, None], heat).reshape(-1, 3)


def _png(image: Image.Image) -> bytes:
    return image_bytes(image, "PNG", optimize=True)


PIPELINE_SECTIONS = ("classes", "image", "prepare", "balance", "split")


def describe_screening(candidate: Candidate, report: Report, values: Mapping[str, Any]) -> JsonObject:
    """Return the model's description with the params of the whole pipeline and what was measured on the test split."""
    description = candidate.model.description
    pipeline = {name: values[name] for name in PIPELINE_SECTIONS}
    card = as_json(describe_for_card(report, candidate.name))
    evaluation = {**metrics_json(report.model(candidate.name)), "card": card}
    return description | {"params": pipeline | description["params"], "evaluation": evaluation}


def write_screening(
    folder: Path,
    candidate: Candidate,
    report: Report,
    values: Mapping[str, Any],
    gate: Path | None = None,
    lungs: Path | None = None,
) -> JsonObject:
    """Copy the exported network, gate and lung segmenter, write decisions and description, and return the description.

    Args:
        folder: To write.
        candidate: The network.
        report: For its figures.
        values: Content of params.yaml.
        gate: Folder of the gate; None: there is none.
        lungs: Folder of the lung segmenter; None: there is none.
    """
    make_folder(folder)
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        copy_file(candidate.model.folder / name, folder / name)
    for left in (*(() if gate else GATE_FILES), *(() if lungs else LUNGS_FILES)):
        remove(folder / left)  # of an evaluation before
    write_json(folder / DECISIONS_FILE, candidate.decided)
    decisions = {"decisions": {"sha256": sha256_of(folder / DECISIONS_FILE)}}
    named = (copy_gate(gate, folder) if gate else {}) | (copy_lungs(lungs, folder) if lungs else {})
    description = describe_screening(candidate, report, values) | decisions | named
    write_json(folder / DESCRIPTION_FILE, description)
    return description


MAX_BYTES = 3_000_000  # what a package may carry


def package_model(source: Path, package: Path, card: Path, commit: str) -> JsonObject:
    """Copy the screening model in `source` to `package`, naming the commit it was made by, and write its card.

    Returns:
        The packaged description.

    Raises:
        ModelError: The model is too large, is not what its description says, or was trained on drawn phantoms.
    """
    description = describe_model(source)
    load_decisions(source, description)
    if fingerprint(source) != description["network"]["sha256"]:
        raise ModelError(f"{source} is not the network that its {DESCRIPTION_FILE} describes")
    load_model_gate(source, description)
    load_model_lungs(source, description)
    files = model_files(source, description)
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise ModelError(f"{source} has {size:,} bytes; a packaged model has at most {MAX_BYTES:,}")
    if description["data"]["synthetic_images"]:
        raise ModelError(f"{source} was trained on drawn phantoms; a packaged model is trained on radiographs")
    packaged = description | {"commit": commit}
    for name in (DECISIONS_FILE, *GATE_FILES, *LUNGS_FILES):
        remove(package / name)  # of the model that was there before
    for file in files:
        write_bytes(package / file.name, file.read_bytes())
    write_json(package / DESCRIPTION_FILE, packaged)
    write_text(card, render_card(packaged))
    return packaged


def model_files(folder: Path, description: JsonObject) -> list[Path]:
    """Return the files of a model folder that its size is counted by: all but the description."""
    names = [NETWORK_FILE, NETWORK_WEIGHTS_FILE]
    names += [DECISIONS_FILE] if "decisions" in description else []
    names += GATE_FILES if "gate" in description else ()
    names += LUNGS_FILES if LUNGS in description else ()
    return [folder / name for name in names]
