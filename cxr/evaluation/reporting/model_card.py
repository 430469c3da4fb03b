"""A model card from a model's own description; out of scope comes first (Mitchell et al. 2019)."""

from collections.abc import Iterator, Sequence

from cxr.core.files import JsonObject
from cxr.evaluation.reporting.document import (
    Block,
    Paragraph,
    Points,
    Table,
    interval,
    not_measured,
    number,
    table,
    text,
    worst_source,
)
from cxr.evaluation.reporting.format import RESEARCH_ONLY, markdown_table, metrics_rows, synthetic_warning
from cxr.evaluation.reporting.network import answering_blocks, point_blocks, referred_paragraph, source_blocks
from cxr.evaluation.reporting.networks import class_table, predictive_table
from cxr.evaluation.reporting.render import markdown, plain

OF_MODEL = ("n", "metrics", "classes", "operating_points", "answering", "lift", "sources")
METRICS = ("balanced_accuracy", "accuracy", "macro_auc", "log_loss", "brier")


def describe_for_card(report: JsonObject, name: str) -> JsonObject:
    """Return what a card says of one model's figures; it goes into model.json as evaluation.card.

    Args:
        report: The content of reports/report.json.
        name: Of a model in it.

    Returns:
        Parts of the report in its own form: of the model (without curves), floor, verdict, banner and waivers; what its
        maps were found to be worth; and the result of each audit of the data and of this model, by id.
    """
    model = next(one for one in report["models"] if one["name"] == name)
    calibration, conformal = model.get("calibration") or {}, model.get("conformal") or {}
    return {
        **{key: model.get(key) for key in OF_MODEL},
        "calibration": {key: calibration.get(key) for key in ("temperature", "after", "distinguishable")},
        "conformal": {key: conformal.get(key) for key in ("alpha", "referred")},
        "lung_dependence": (model.get("dependence") or {}).get("lung_dependence"),
        "cam": {key: (model.get("cam") or {}).get(key) for key in ("similarity_randomised", "void")},
        "audits": {one["id"]: one["result"] for one in report.get("audits") or () if one.get("model") in (None, name)},
        "floor": report.get("floor"),
        "headline": (report.get("verdict") or {}).get("headline"),
        "banner": report.get("banner") or [],
        "waivers": report.get("waivers") or [],
        "limitations": report.get("limitations") or [],
    }


def figures_of(card: JsonObject) -> str:
    """Return the sections of a card that hold figures, as Markdown."""
    return "\n\n".join(_parts(card)) + "\n"


def _parts(card: JsonObject) -> Iterator[str]:
    yield "## What the figures can show"
    yield f"**{plain((card.get('headline') or 'No verdict was passed.',))}**"
    yield from markdown(Points(tuple((str(one),) for one in card["banner"])))
    for one in card["waivers"]:
        yield plain((f"Waived, {one['stage']}, {one['audit']}: {one['why']}",))
    yield from markdown(_shortcuts(card))
    yield "## Test split"
    yield (
        f"{card['n']:,} images that training and selection did not see; one random split, patients and duplicate "
        "groups kept together. Probabilities are calibrated on validation. Square brackets hold 95 % intervals."
    )
    for block in (
        _measures(card),
        *_by_class(card),
        *point_blocks(card, ""),
        *(answering_blocks(card, "") if card.get("answering") else ()),
        _referral(card),
        *source_blocks(card, ""),
    ):
        yield from markdown(block)
    yield "## Known limitations"
    yield from markdown(Points(tuple((str(one),) for one in card["limitations"])))


def _measures(card: JsonObject) -> Table:
    metrics = card.get("metrics") or {}
    rows = [[text(name), interval(metrics.get(name))] for name in METRICS]
    return table("Overall", ["metric", "value"], rows)


def _by_class(card: JsonObject) -> list[Block]:
    if not card.get("classes"):
        return [not_measured("Figures by class")]
    return [class_table(card["classes"]), predictive_table(card["classes"])]


def _referral(card: JsonObject) -> Paragraph:
    if not card["conformal"].get("referred"):
        return not_measured("Referral")
    return referred_paragraph(card["conformal"])


def _shortcuts(card: JsonObject) -> Table:
    floor, lift, worst = card.get("floor") or {}, card.get("lift") or {}, worst_source(card)
    rows = [
        [text("balanced accuracy from overall grey alone"), interval(floor.get("floor"))],
        [text("the network above it"), interval(lift.get("over_floor"), sign=True)],
        [text("balanced accuracy from the frame alone"), interval(floor.get("frame"))],
        [text("the network above it"), interval(lift.get("over_frame"), sign=True)],
        [text("accuracy from the source collection alone"), number(floor.get("oracle"))],
        [text("lung dependence (nought: none, one: whole)"), number(card.get("lung_dependence"))],
        [text("least recall on a source left out of training"), interval(worst["recall"] if worst else None)],
    ]
    return table("Beside what needs no lungs", ["figure", "value"], rows)


OUT_OF_SCOPE = """## Out of scope

- Any decision about a patient: diagnosis, triage, exclusion of disease.
  {research}
- Pictures that are not frontal chest radiographs. {decline}.
- Diseases other than its {count} classes. Bacterial pneumonia, tuberculosis, effusion, a tumour: each gets one of the
  {count} names.
- Prevalence other than that of the balanced test split ({share:.0f} % a class): predictive values do not carry over.
- Hospitals, detectors and ages that the data does not have. In the public database viral pneumonia is all children
  and COVID-19 nearly all adults, and no collection contributes both COVID-19 and normal images: the network may
  well recognise the source and not the disease.
"""


def render_card(description: JsonObject) -> str:
    """Return the model card of the description of a screening model, as Markdown.

    Args:
        description: Of the model; `evaluation.card` holds the figures as `describe_for_card` cuts them from the report.
            A description without it has flat figures only, and its card says that they have no intervals.
    """
    name, classes, evaluation = description["name"], description["classes"], description["evaluation"]
    measured = "card" in evaluation
    decline = _decline(gated="gate" in description, measured=measured)
    scope = OUT_OF_SCOPE.format(research=RESEARCH_ONLY, count=len(classes), share=100 / len(classes), decline=decline)
    calibrated = "calibrated" if measured else "not calibrated"
    return "\n".join(
        [
            f"# Model card: {name}-{description['network']['sha256'][:12]}\n",
            synthetic_warning(description["data"]) + scope,
            _network(description, calibrated),
            _data(description),
            figures_of(evaluation["card"]) if measured else _flat_figures(evaluation, classes),
            _provenance(description),
        ]
    )


def _decline(*, gated: bool, measured: bool) -> str:
    """Say what becomes of a picture that is none of what the network was made for."""
    if gated:
        return (
            "A gate keeps what is plainly none from the network and\n  marks what looks unusual; what it lets pass is "
            "answered, whatever it is"
        )
    unsure = "what it refers is unsure, not foreign" if measured else "it has no way to decline"
    return f"The network answers whatever it is given; {unsure}"


def _flat_figures(metrics: JsonObject, classes: Sequence[str]) -> str:
    return "\n".join(
        [
            "## Test split\n",
            f"{metrics['test_images']} images that training and selection did not see; one random split, patients and",
            "duplicate groups kept together. Without intervals: a difference of a point or two is chance.\n",
            markdown_table(["metric", "value"], [[key, f"{metrics[key]:.4f}"] for key in _OVERALL]),
            "",
            markdown_table(["class", "sensitivity", "specificity"], metrics_rows(metrics, classes)),
            "",
        ]
    )


_OVERALL = ("balanced_accuracy", "accuracy", "macro_f1", "macro_auc", "log_loss")


def _network(description: JsonObject, calibrated: str) -> str:
    side = description["image_side"]
    return f"""## Network

- Architecture `{description["name"]}`{_members(description)}: {description["parameters"]:,} weights, initialised {
        _initialised(description)
    }.
- Cost: {description["gflop_per_image"]:.3f} GFLOP an image, a multiply-add counted as two.
- Input: one 8-bit luminance plane of {side} x {side} pixels, resized with an antialiased triangle filter, aspect
  ratio not kept; 16-bit files divided by the smallest of 255, 1023, 4095, 16383, 65535 that holds their maximum.
- Output: probabilities of {", ".join(description["classes"])}, in this order, {calibrated}.
"""


def _members(description: JsonObject) -> str:
    members = description.get("members") or ()
    return f", the mean of the logits of {' and '.join(f'`{name}`' for name in members)}" if members else ""


def _initialised(description: JsonObject) -> str:
    """Say what the weights started from; of members that differ, by their params, each."""
    if description["initialisation"] != "mixed":
        return _started(description["initialisation"])
    sections = {name: description["params"][f"train_{name}"] for name in description["members"]}
    return ", ".join(f"`{name}` {_started(params.get('weights', 'random'))}" for name, params in sections.items())


def _started(weights: str) -> str:
    return {"random": "at random", "imagenet": "from published weights of ImageNet"}.get(weights, f"from {weights}")


def _data(description: JsonObject) -> str:
    data = description["data"]
    rows = [[name, count] for name, count in data["images_per_class"].items()]
    splits = ", ".join(f"{count} {name}" for name, count in data["images_per_split"].items())
    return (
        f"## Data\n\n{markdown_table(['class', 'images'], rows)}\n\n{splits}. Patients are known for some files only.\n"
    )


def _provenance(description: JsonObject) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in description["environment"].items())
    lines = [
        "## Provenance\n",
        f"- Network SHA-256 `{description['network']['sha256']}`",
        f"- Data SHA-256 `{description['data']['sha256']}` (file, label, pixels and split of every image)",
        *_epochs(description["training"]),
        f"- Trained with {versions}",
    ]
    if "gate" in description:
        lines.insert(2, f"- Gate SHA-256 `{description['gate']['sha256']}`")
    if "commit" in description:
        lines.append(f"- Code: commit `{description['commit']}`")
    return "\n".join(lines) + "\n"


def _epochs(training: JsonObject) -> list[str]:
    """Return a line for the network, or one for each member of an ensemble."""
    members = training.get("members") or {"": training}
    return [
        f"- Weights{f' of `{name}`' if name else ''} of epoch {one['best_epoch']} of {one['epochs']}, that of the "
        "lowest validation loss"
        for name, one in members.items()
    ]
