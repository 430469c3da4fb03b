"""A model card from a model's own description; out of scope comes first (Mitchell et al. 2019)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cxr.core.files import JsonObject
from cxr.core.pages import RESEARCH_ONLY, markdown_table
from cxr.core.records import Result, from_json, parts
from cxr.dataset.audits.splits import kept_together
from cxr.evaluation.audits.shortcuts import GainOverBaseline
from cxr.evaluation.audits.subgroups import HEAD_REFITTED, HeldOutSource, worst_source
from cxr.evaluation.audits.subject import BaselineFigures
from cxr.evaluation.records import Report, Waiver
from cxr.evaluation.reporting.document import Points, Table, change, interval, number, table, text
from cxr.evaluation.reporting.networks import (
    REGIONS,
    answering_blocks,
    calibration_paragraph,
    class_table,
    point_blocks,
    predictive_table,
    referred_paragraph,
    source_blocks,
)
from cxr.evaluation.reporting.page import markdown, out_of_scope_blocks, plain, unseen_blocks
from cxr.evaluation.stats.calibration import TestedCalibration
from cxr.evaluation.stats.classification import ClassMetrics, Metrics
from cxr.evaluation.stats.decisions import Answering, MeasuredPoint, Referral
from cxr.evaluation.stats.intervals import FINE_NUMBER, SHARE
from cxr.evaluation.unseen import OutOfScopeFilms, UnseenHospitals
from cxr.inference.lungs import LUNGS
from cxr.inference.model_folder import decided_on, learnt_images
from cxr.inference.network import LAST_LAYER


@dataclass(frozen=True, slots=True)
class CardCalibration:
    """See `CalibrationByTemperature`, whose diagrams a card has not."""

    temperature: float | None
    after: TestedCalibration
    distinguishable: bool


@dataclass(frozen=True, slots=True)
class CardSets:
    """See `PredictionSets`."""

    alpha: float
    referred: Referral


@dataclass(frozen=True, slots=True)
class CardMaps:
    """See `Attention`."""

    similarity_randomised: float | None
    void: bool | None


@dataclass(frozen=True, slots=True)
class CardFigures:
    """What a card says of one model's figures: `evaluation.card` of model.json, parts of the report without its curves.

    Attributes:
        n: Test images.
        metrics: Overall.
        classes: One class against the others.
        operating_points: As measured.
        answering: What becomes of the images.
        gain: Over the shortcut baselines.
        sources: Left out of training.
        calibration: After the temperature.
        conformal: What prediction sets refer.
        lung_dependence: Share of what is above chance that is lost without the lungs.
        cam: What the maps were found to be worth.
        audits: Result by id, of the data and of this model.
        baselines: What sees no lungs.
        headline: Of the verdict.
        banner: Permanent sentences.
        waivers: Failures that may stand.
        limitations: Sentences.
        unseen: What a network says of hospitals that its training never saw; None where none was left out.
        out_of_scope: What the network that screens says of films of no class; None where it was asked about none.
        regions: How the lungs were found that the dependence is of, see `LungDependence`; None in earlier cards.
        patients_known: Images of the split table whose patient is known; None in earlier cards.
    """

    n: int
    metrics: Metrics
    classes: tuple[ClassMetrics, ...]
    operating_points: tuple[MeasuredPoint, ...]
    answering: Answering
    gain: GainOverBaseline = field(metadata={"key": "lift"})
    sources: tuple[HeldOutSource, ...]
    calibration: CardCalibration
    conformal: CardSets
    lung_dependence: float | None
    cam: CardMaps
    audits: Mapping[str, Result]
    baselines: BaselineFigures = field(metadata={"key": "floor"})
    headline: str
    banner: tuple[str, ...]
    waivers: tuple[Waiver, ...]
    limitations: tuple[str, ...]
    unseen: UnseenHospitals | None = field(default=None, metadata={"absent": True})
    out_of_scope: tuple[OutOfScopeFilms, ...] | None = field(default=None, metadata={"absent": True})
    regions: str | None = field(default=None, metadata={"absent": True})
    patients_known: int | None = field(default=None, metadata={"absent": True})


def describe_for_card(report: Report, name: str) -> CardFigures:
    """Return what a card says of the figures of the model `name`."""
    model = report.model(name)
    calibration, maps = model.calibration, model.cam
    return CardFigures(
        n=model.n,
        metrics=model.metrics,
        classes=model.classes,
        operating_points=model.operating_points,
        answering=model.answering,
        gain=model.gain,
        sources=model.sources,
        calibration=CardCalibration(calibration.temperature, calibration.after, calibration.distinguishable),
        conformal=CardSets(model.conformal.alpha, model.conformal.referred),
        lung_dependence=model.dependence.lung_dependence,
        cam=CardMaps(maps.similarity_randomised, maps.void),
        audits={one.id: one.result for one in report.audits if one.model in (None, name)},
        baselines=report.baselines,
        headline=report.verdict.headline,
        banner=report.banner,
        waivers=report.waivers,
        limitations=report.limitations,
        unseen=report.unseen,
        out_of_scope=report.out_of_scope,
        regions=model.dependence.regions,
        patients_known=report.data.patients_known,
    )


def _figures(card: CardFigures, images: int, on: str) -> str:
    """Return the sections of a card that hold figures, as Markdown."""
    return "\n\n".join(_parts(card, images, on)) + "\n"


def _parts(card: CardFigures, images: int, on: str) -> Iterator[str]:
    if card.unseen:
        yield "## Hospitals left out of training"
        for block in unseen_blocks(card.unseen):
            yield from markdown(block)
    if card.out_of_scope:
        yield "## Films of no class"
        for block in out_of_scope_blocks(card.out_of_scope):
            yield from markdown(block)
    yield "## What the figures can show"
    yield f"**{plain((card.headline,))}**"
    yield from markdown(Points(tuple((one,) for one in card.banner)))
    for one in card.waivers:
        yield plain((f"Waived, {one.stage}, {one.audit}: {one.why}",))
    yield from markdown(_shortcuts(card))
    yield "## Test split"
    yield (
        f"{card.n:,} images that nothing was fitted on, no weight, epoch, temperature or threshold; one random split, "
        f"{kept_together(card.patients_known, images)}. Probabilities are calibrated on {on}. Square brackets hold "
        "95 % intervals."
    )
    for block in (
        _measures(card.metrics),
        calibration_paragraph(**parts(card.calibration), on=on),
        class_table(card.classes),
        predictive_table(card.classes),
        *point_blocks(card.operating_points),
        *answering_blocks(card.answering),
        referred_paragraph(card.conformal.referred),
        *source_blocks(card.sources),
    ):
        yield from markdown(block)
    yield "## Known limitations"
    yield from markdown(Points(tuple((one,) for one in card.limitations)))


def _measures(metrics: Metrics) -> Table:
    rows = [
        [text("balanced_accuracy"), interval(metrics.balanced_accuracy)],
        [text("accuracy"), interval(metrics.accuracy)],
        [text("macro_auc"), interval(metrics.macro_auc)],
        [text("log_loss"), interval(metrics.log_loss)],
        [text("brier"), interval(metrics.brier)],
    ]
    return table("Overall", ["metric", "value"], rows)


def _shortcuts(card: CardFigures) -> Table:
    found, gain, worst = card.baselines, card.gain, worst_source(card.sources)
    least = "least recall on a source left out of training"
    if worst and worst.how == HEAD_REFITTED:
        least += ", by a head refitted"
    rows = [
        [text("balanced accuracy from overall grey alone"), interval(found.appearance)],
        [text("the network above it"), change(gain.over_appearance)],
        [text("balanced accuracy from the frame alone"), interval(found.border)],
        [text("the network above it"), change(gain.over_border)],
        [text("accuracy from the source collection alone"), number(found.source)],
        [text("lung dependence (0: none; 1: no better than chance without the lungs)"), number(card.lung_dependence)],
        [text(least), interval(worst.recall if worst else None)],
    ]
    notes = (f"For the dependence, lungs are {REGIONS[card.regions]}.",) if card.regions else ()
    return table("Beside what can be had without looking at lungs", ["figure", "value"], rows, notes)


OUT_OF_SCOPE = """## Out of scope

- Any decision about a patient: diagnosis, triage, exclusion of disease.
  {research}
- Pictures that are not frontal chest radiographs. {decline}.
- Diseases other than its {count} classes: {classes}. Every picture gets one of these names.
- Other shares of the classes than those of its data ({shares}): predictive values do not carry over.
- Hospitals, detectors and ages that the data does not have.
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
    scope = OUT_OF_SCOPE.format(
        research=RESEARCH_ONLY,
        count=len(classes),
        classes=", ".join(classes),
        shares=_class_shares(description["data"]),
        decline=decline,
    )
    calibrated = f"calibrated on {decided_on(description)}" if measured else "not calibrated"
    return "\n".join(
        [
            f"# Model card: {name}-{description['network']['sha256'][:12]}\n",
            _synthetic_warning(description["data"]) + scope,
            _network(description, calibrated) + _lungs(description.get(LUNGS)),
            _data(description),
            _figures(from_json(CardFigures, evaluation["card"]), description["data"]["images"], decided_on(description))
            if measured
            else _flat_figures(evaluation, classes),
            _provenance(description),
        ]
    )


def _class_shares(data: JsonObject) -> str:
    counts = data["images_per_class"]
    return ", ".join(f"{name} {SHARE.number(count / sum(counts.values()))}" for name, count in counts.items())


def _decline(*, gated: bool, measured: bool) -> str:
    """Say what becomes of a picture that is none of what the network was made for."""
    if gated:
        return (
            "A gate rejects what is plainly something else and refers\n  what looks unusual; what it lets pass is "
            "answered, whatever it is"
        )
    unsure = "it refers only what it is unsure of" if measured else "it cannot decline"
    return f"The network answers whatever it is given; {unsure}"


def _synthetic_warning(data: JsonObject) -> str:
    """Return a warning where drawn phantoms were among the data, else the empty string."""
    if not data["synthetic_images"]:
        return ""
    return (
        f"> **Drawn phantoms.** {data['synthetic_images']} of {data['images']} images are drawn by this software. "
        "The figures show that the pipeline runs; they mean nothing for patients.\n\n"
    )


def _flat_figures(metrics: JsonObject, classes: Sequence[str]) -> str:
    return "\n".join(
        [
            "## Test split\n",
            f"{metrics['test_images']} images that nothing was fitted on; one random split,",
            f"{kept_together(None, 0)}. The figures have no intervals: small differences may be",
            "chance.\n",
            markdown_table(["metric", "value"], [[key, FINE_NUMBER.number(metrics[key])] for key in _OVERALL]),
            "",
            markdown_table(["class", *_RATES], [[name, *_rates(metrics, name)] for name in classes]),
            "",
        ]
    )


def _rates(metrics: JsonObject, name: str) -> list[str]:
    return [FINE_NUMBER.number(metrics[rate][name]) for rate in _RATES]


_RATES = ("sensitivity", "specificity")
_OVERALL = ("balanced_accuracy", "accuracy", "macro_f1", "macro_auc", "log_loss")


def _architecture(description: JsonObject) -> str:
    """Return what the network is and how it learnt, where its name does not say so."""
    said = f"`{description.get('architecture', description['name'])}`"
    if teachers := description.get("teachers"):
        *seeds, last = (str(one["seed"]) for one in teachers)
        said += (
            f", which learnt what {len(teachers)} networks of this kind, trained with the seeds {', '.join(seeds)} and "
            f"{last}, say together"
        )
    if description["name"] != LAST_LAYER:
        return said
    calibrated = description.get("params", {}).get(LAST_LAYER, {}).get("calibrate")
    return f"{said}, with its last layer fitted anew" + (
        " and calibrated, by a temperature and a bias for each class" if calibrated else ""
    )


def _network(description: JsonObject, calibrated: str) -> str:
    side = description["image_side"]
    return f"""## Network

- Architecture {_architecture(description)}{_members(description)}: {description["parameters"]:,} weights, initialised {
        _initialised(description)
    }.
- Cost: {description["gflop_per_image"]:.3f} GFLOP an image, a multiply-add counted as two.
- Input: one 8-bit luminance plane of {side} x {side} pixels, resized with an antialiased triangle filter, aspect
  ratio not kept; 16-bit files divided by the smallest of 255, 1023, 4095, 16383, 65535 that holds their maximum.
- Output: probabilities of {", ".join(description["classes"])}, in this order, {calibrated}.
"""


def _lungs(named: JsonObject | None) -> str:
    """Say how well the lung segmenter does, source by source; nothing where there is none or nothing is known."""
    if not named or not named["held_out"]:
        return ""
    rows = [
        [one["source"], one["films"], *(FINE_NUMBER.number(one[key]) for key in ("dice", "lowest_dice", "box_wrong"))]
        for one in named["held_out"]
    ]
    return (
        "\n## Lung segmenter\n\nA second network finds the lungs for audits and maps; no answer depends on it. Beside "
        "masks drawn on films held out from it:\n\n"
        + markdown_table(["source", "films", "mean Dice", "lowest Dice", "share whose box is wrong"], rows)
        + "\n\nA box is wrong where an edge is off by more than a tenth of the picture's side.\n"
    )


def _members(description: JsonObject) -> str:
    members = description.get("members") or ()
    return f", the mean of the logits of {' and '.join(f'`{name}`' for name in members)}" if members else ""


def _initialised(description: JsonObject) -> str:
    """Say what the weights started from; of members that differ, by their params, each."""
    if description["initialisation"] != "mixed":
        digest = description.get("initial_weights_sha256")
        return _started(description["initialisation"]) + (f" (SHA-256 of the arrays `{digest}`)" if digest else "")
    sections = {name: description["params"][f"train_{name}"] for name in description["members"]}
    return ", ".join(f"`{name}` {_started(params.get('weights', 'random'))}" for name, params in sections.items())


def _started(weights: str) -> str:
    return {"random": "at random", "imagenet": "from published weights of ImageNet"}.get(weights, f"from {weights}")


def _data(description: JsonObject) -> str:
    data = description["data"]
    rows = [[name, count] for name, count in data["images_per_class"].items()]
    splits = ", ".join(f"{count} {name}" for name, count in data["images_per_split"].items())
    return f"## Data\n\n{markdown_table(['class', 'images'], rows)}\n\n{splits}.\n{_elsewhere(description)}"


def _elsewhere(description: JsonObject) -> str:
    """Say what the last layer alone has learnt from beside the train split; nothing where there is none of it."""
    films = (description.get("elsewhere") or {}).get("films") or {}
    if not films:
        return ""
    each = "; ".join(
        f"{hospital}: " + ", ".join(f"{number} {label}" for label, number in labels.items())
        for hospital, labels in films.items()
    )
    return (
        "\nThe last layer alone has also learnt from the validation split and from films of other hospitals, which are "
        f"in no split: {each}. That makes {learnt_images(description)} images that the network was trained on.\n"
    )


def _provenance(description: JsonObject) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in description["environment"].items())
    lines = [
        "## Provenance\n",
        f"- Network SHA-256 `{description['network']['sha256']}`",
        f"- Data SHA-256 `{description['data']['sha256']}` (file, label, pixels and split of every image)",
        *_epochs(description),
        f"- Trained with {versions}",
    ]
    named = {"gate": "Gate", LUNGS: "Lung segmenter"}
    lines[2:2] = [
        f"- {what} SHA-256 `{description[key]['sha256']}`" for key, what in named.items() if key in description
    ]
    if "commit" in description:
        lines.append(f"- Code: commit `{description['commit']}`")
    return "\n".join(lines) + "\n"


def _epochs(description: JsonObject) -> list[str]:
    """Return a line for the network, or one for each member of an ensemble."""
    training = description["training"]
    members = training.get("members") or {"": training}
    loss = "validation loss" + (", which is against the teachers' answers" if description.get("teachers") else "")
    if description["name"] == LAST_LAYER:
        loss += "; the last layer was fitted afterwards"
    return [
        f"- Weights{f' of `{name}`' if name else ''} of epoch {one['best_epoch']} of {one['epochs']}, that of the "
        f"lowest {loss}"
        for name, one in members.items()
    ]
