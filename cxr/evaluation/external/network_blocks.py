"""The parts of a report that one network fills."""

from collections.abc import Iterator

from cxr.evaluation.external.block import Block, left_out
from cxr.evaluation.external.wording import number, percent, plain, probability, share
from cxr.files import JsonObject

RATES = {"sensitivity": "sensitivity, %", "specificity": "specificity, %", "ppv": "PPV, %", "npv": "NPV, %"}


def network_blocks(network: JsonObject) -> Iterator[Block]:
    """Give the parts of one network's section of what `evaluate_table` found."""
    name = network["network"]
    yield _overall(network)
    yield _by_class(name, network["classes"])
    names = [one["name"] for one in network["classes"]]
    counted = zip(names, network["confusion"], strict=True)
    yield Block(f"{name}: confusion", (), ("true", *names), tuple((true, *map(str, row)) for true, row in counted))
    yield _calibration(name, network["calibration"])
    if network["decisions"]:
        yield _decisions(name, network["decisions"])
    if network["sources"]:
        yield _sources(name, network["sources"])


def _overall(network: JsonObject) -> Block:
    metrics, missing = network["metrics"], network["missing_as_errors"]
    as_errors = (("accuracy, answers missing count as errors", share(missing["accuracy"])),)
    return Block(
        f"{network['network']}: {network['n']:,} images",
        (
            *left_out(network["in_training_set"], "In the training set, which makes figures look better"),
            *left_out(network["without_answer"], "Labelled files without an answer, not in the figures"),
        ),
        ("figure", "value [95 % interval]"),
        (
            ("accuracy", share(metrics["accuracy"])),
            *(as_errors if network["without_answer"]["number"] else ()),
            ("balanced accuracy", share(metrics["balanced_accuracy"])),
            ("macro AUC", number(metrics["macro_auc"])),
            ("log loss", number(metrics["log_loss"])),
            ("Brier score", number(metrics["brier"])),
            ("macro F1", plain(metrics["macro_f1"])),
            ("Matthews correlation", plain(metrics["mcc"])),
        ),
    )


def _by_class(name: str, classes: list[JsonObject]) -> Block:
    rows = (
        ("images", *(str(one["n"]) for one in classes)),
        *((label, *(percent(one[key]) for one in classes)) for key, label in RATES.items()),
        ("AUC", *(number(one["auc"]) for one in classes)),
    )
    return Block(f"{name}: by class", (), ("figure", *(one["name"] for one in classes)), rows)


def _calibration(name: str, found: JsonObject) -> Block:
    verdict = "is told" if found["distinguishable"] else "cannot be told"
    sentence = (
        f"Calibration error (15 bins) {plain(found['ece15'])}; a calibrated model shows {plain(found['null_low'])} to "
        f"{plain(found['null_high'])} on as many images (p = {probability(found['p'])}): it {verdict} from one."
    )
    rows = (
        (plain(one["confidence"], 3), share({"value": one["accuracy"], **one}), str(one["n"]))
        for one in found["reliability"]
    )
    return Block(f"{name}: calibration", (sentence,), ("mean confidence", "right", "images"), tuple(rows))


def _decisions(name: str, found: JsonObject) -> Block:
    referred, target = found["referred"], found["target"]
    sentences = [
        f"Referred: {share(referred['share'])} of {found['n']:,}, among them {referred['errors_referred']} of "
        f"{referred['errors']} wrong predictions. Wrong among the others: {share(referred['error_answered'])}."
    ]
    if target:
        sentences.append(
            f"Of what was not referred: sensitivity for {target} {share(found['sensitivity'])}, "
            f"specificity {share(found['specificity'])}. "
            f"Suspected or referred: {share(found['suspected_or_referred'])} of {target}."
        )
    keys = ("suspected", "not_suspected", "referred")
    rows = tuple((one["name"], *(str(one[key]) for key in keys)) for one in found["by_class"])
    header = ("true", "suspected", "not suspected", "referred")
    return Block(f"{name}: decisions of the table", tuple(sentences), header, rows)


def _sources(name: str, sources: list[JsonObject]) -> Block:
    rows = (
        (one["source"], one["label"], f"{one['n']}{' (few)' if one['small'] else ''}", share(one["sensitivity"]))
        for one in sources
    )
    return Block(f"{name}: by source", (), ("source", "class", "images", "sensitivity"), tuple(rows))
