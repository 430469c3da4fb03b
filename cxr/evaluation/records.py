"""The records of reports/report.json: page, text, card and metrics are all made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxr.core.records import AuditRecord, Result
from cxr.dataset.audits.sources import SourceCount
from cxr.dataset.audits.splits import FlowStep
from cxr.evaluation.audits import AuditFigures
from cxr.evaluation.audits.subject import BaselineFigures
from cxr.evaluation.stats.calibration import CalibrationByTemperature
from cxr.evaluation.stats.classification import (
    ClassMetrics,
    Comparison,
    Distribution,
    Metrics,
    NetBenefit,
    PrecisionRecallCurve,
    RocCurve,
)
from cxr.evaluation.stats.decisions import Answering, MeasuredPoint, PredictionSets, SelectiveRisk
from cxr.evaluation.unseen import OutOfScopeFilms, UnseenHospitals


@dataclass(frozen=True)
class NetworkMetrics:
    """What is measured of a network on the test split, with what was fitted beforehand.

    Attributes:
        n: Test images.
        metrics: Overall.
        classes: Each class against the rest.
        confusion: Counts: rows are true, columns are predicted classes.
        calibration: Before and after the temperature.
        operating_points: Frozen beforehand.
        selective: Risk by coverage.
        conformal: Prediction sets.
        answering: What becomes of the images.
        decision_curve: Of the target class.
        roc: A curve a class.
        pr: Precision by recall, a curve a class.
        distributions: Of the probabilities, by true class.
    """

    n: int
    metrics: Metrics
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: CalibrationByTemperature
    operating_points: tuple[MeasuredPoint, ...]
    selective: SelectiveRisk
    conformal: PredictionSets
    answering: Answering
    decision_curve: tuple[NetBenefit, ...]
    roc: tuple[RocCurve, ...]
    pr: tuple[PrecisionRecallCurve, ...]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class ShownImage:
    """A test image that the report shows.

    Attributes:
        file: Of the release, a POSIX path.
        actual: Its class.
        predicted: The class of the largest probability.
        probability: That probability, calibrated.
        loss: Minus the natural logarithm of the probability of the truth; None for an example.
    """

    file: str
    actual: str
    predicted: str
    probability: float
    loss: float | None = field(default=None, metadata={"absent": True})


@dataclass(frozen=True)
class DescribedNetwork:
    """What a network is.

    Attributes:
        name: Of the network.
        screening: Whether it is the one that screens folders.
        members: Names of the networks of an ensemble; none otherwise.
        initialisation: Of its weights: random, imagenet, mixed.
        parameters: Number of weights.
        gflop: Cost of an image, a multiply-add counted as two.
        epochs: That were trained; None for an ensemble.
        best_epoch: Whose weights were kept; None for an ensemble.
        validation_log_loss: Uncalibrated; decides which network screens.
        decided_on: What temperature, thresholds and prediction sets were fitted on, in words.
    """

    name: str
    screening: bool
    members: tuple[str, ...]
    initialisation: str
    parameters: int
    gflop: float
    epochs: int | None
    best_epoch: int | None
    validation_log_loss: float
    decided_on: str


# Fields of the last base come first: the report says what a network is, what was measured, what audits found.
@dataclass(frozen=True)
class ModelReport(AuditFigures, NetworkMetrics, DescribedNetwork):
    """All that the report says of one network.

    Attributes:
        errors: The wrong answers of largest loss.
        examples: Images of median probability, of each class.
        confusion_rows: Each row of the confusion over its sum; None where a class does not occur.
    """

    errors: tuple[ShownImage, ...]
    examples: tuple[ShownImage, ...]
    confusion_rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report.

    Attributes:
        images: Rows of the split table.
        synthetic_images: Those that are drawn phantoms.
        sha256: Of file, label, pixels and split of every image.
        classes: Images by class.
        classes_by_split: Images by split and class.
        sources: Images by class and source.
        shares: Of each class, 0 to 1.
        images_per_split: Images by split.
        patients_known: Images whose patient is known.
    """

    images: int
    synthetic_images: int
    sha256: str
    classes: Mapping[str, int]
    classes_by_split: Mapping[str, Mapping[str, int]]
    sources: tuple[SourceCount, ...]
    shares: Mapping[str, float]
    images_per_split: Mapping[str, int]
    patients_known: int


@dataclass(frozen=True, slots=True)
class CountedStep(FlowStep):
    """A step of the participant flow with all its images."""

    total: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the report comes to.

    Attributes:
        level: fine, warn or stop.
        headline: What the network that screens reached, beside the baseline, and what cannot be shown.
        sentences: What it refers, and which audits failed or warned.
    """

    level: str
    headline: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiver:
    """Why a failure may stand.

    Attributes:
        stage: Whose audit it is.
        audit: Its name, for people.
        why: As params.yaml says.
    """

    stage: str | None
    audit: str
    why: str


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch of a training; losses in nats, accuracies 0 to 1."""

    model: str
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True, slots=True)
class Reproducibility:
    """What the report was made from.

    Attributes:
        commit: None: the report is part of what is committed; git says which commit holds it.
        data_sha256: See `ReportData`.
        params: Content of params.yaml.
        versions: Of the libraries that trained.
        networks: SHA-256 by name.
    """

    commit: str | None
    data_sha256: str
    params: Mapping[str, object]
    versions: Mapping[str, str]
    networks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StandardItem:
    """What a reporting standard asks for.

    Attributes:
        item: Its number.
        title: What is asked for.
        status: reported, missing or not applicable.
        where: Sections of the report, or the model card beside it, with words that stand there; or why not.
    """

    item: str
    title: str
    status: str
    where: str


@dataclass(frozen=True, slots=True)
class Standard:
    """A reporting standard with the status of every item, and the items by status."""

    standard: str
    items: tuple[StandardItem, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """The content of reports/report.json.

    Attributes:
        format: Version of the form.
        title: Of the page.
        data: What was trained and tested on.
        verdict: What it comes to.
        banner: Permanent sentences.
        waivers: Of all stages.
        flow: Participant flow, from the release to the splits.
        audits: Of all stages.
        baselines: What shortcuts reach.
        chance: Balanced accuracy of guessing.
        screening_model: Name of the network that screens.
        models: The networks.
        comparisons: Each pair of them.
        learning_curves: Epochs of all trainings.
        reproducibility: What it was made from.
        limitations: Sentences.
        audit_counts: Audits by result, the gravest first.
        standards: CLAIM 2024, TRIPOD+AI and STARD-AI.
        unseen: What a network says of hospitals that its training never saw; None where none was left out.
        out_of_scope: What the network that screens says of films of no class; None where it was asked about none.
    """

    format: int
    title: str
    data: ReportData
    verdict: Verdict
    banner: tuple[str, ...]
    waivers: tuple[Waiver, ...]
    flow: tuple[CountedStep, ...]
    audits: tuple[AuditRecord, ...]
    baselines: BaselineFigures = field(metadata={"key": "floor"})
    chance: float
    screening_model: str
    models: tuple[ModelReport, ...]
    comparisons: tuple[Comparison, ...]
    learning_curves: tuple[Epoch, ...]
    reproducibility: Reproducibility
    limitations: tuple[str, ...]
    audit_counts: Mapping[Result, int]
    standards: tuple[Standard, ...]
    unseen: UnseenHospitals | None = field(default=None, metadata={"absent": True})
    out_of_scope: tuple[OutOfScopeFilms, ...] | None = field(default=None, metadata={"absent": True})

    def model(self, name: str) -> ModelReport:
        """Return what is said of the network of this name; StopIteration where there is none."""
        return next(one for one in self.models if one.name == name)
