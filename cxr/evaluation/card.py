"""A model card from a model's own description; out of scope comes first (Mitchell et al. 2019)."""

from collections.abc import Sequence

from cxr.evaluation.markdown import RESEARCH_ONLY, metrics_rows, synthetic_warning, table
from cxr.evaluation.reporting.card_figures import figures_of
from cxr.files import JsonObject

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
            table(["metric", "value"], [[key, f"{metrics[key]:.4f}"] for key in _OVERALL]),
            "",
            table(["class", "sensitivity", "specificity"], metrics_rows(metrics, classes)),
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
    return f"## Data\n\n{table(['class', 'images'], rows)}\n\n{splits}. Patients are known for some files only.\n"


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
