"""Figures of a table's networks against labels. Probabilities are taken as they are: nothing is fitted here."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.core.files import JsonObject
from cxr.core.records import as_json
from cxr.evaluation.reporting.document import ReportBlock, left_out
from cxr.evaluation.reporting.format import (
    RESEARCH_ONLY,
    bare_percent,
    markdown_table,
    number_with_interval,
    plain,
    probability,
    share,
    signed_points,
)
from cxr.evaluation.stats.calibration import calibration
from cxr.evaluation.stats.classification import SMALLEST, Predictions, class_metrics, confusion_rows, overall_metrics
from cxr.evaluation.stats.comparison import compare_models
from cxr.evaluation.stats.decisions import detection_rates, referral
from cxr.evaluation.stats.intervals import Labels as Numbers
from cxr.evaluation.stats.intervals import Probabilities, wilson
from cxr.inference.decisions import NOT_SUSPECTED, REFER
from cxr.inference.outputs import SavedOutputs
from cxr.validation.labels import NO_ANSWER, LabelTable, Matched, NetworkPredictions, ResultsTable, groups, match, named

_SUSPECTED = "_suspected"


def decisions_section(answers: Predictions, words: Sequence[str]) -> JsonObject | None:
    """Return sensitivity and specificity of the column `decision`, and what referring did; None without decisions.

    Args:
        answers: The images that have an answer.
        words: What was decided about each; empty where nothing was.

    Returns:
        sensitivity and specificity are of the images that were not referred; suspected_or_referred is the share of
        the target's images that were either. The three, and target, are null where no image at all was suspected: the
        table then does not tell which class is looked for.
    """
    decided = np.array([bool(word) for word in words])
    if not decided.any():
        return None
    column, truth = np.array(words)[decided], answers.truth[decided]
    referred = column == REFER
    target = _target(words, answers.classes)
    found: JsonObject = {"n": int(decided.sum()), "target": target}
    if target is None:
        found |= {"sensitivity": None, "specificity": None, "suspected_or_referred": None}
    else:
        positive, suspected = truth == answers.classes.index(target), column == f"{target}{_SUSPECTED}"
        sensitivity, specificity = detection_rates(positive[~referred], suspected[~referred])
        either = wilson(int((positive & (suspected | referred)).sum()), int(positive.sum()))
        found |= {"sensitivity": sensitivity, "specificity": specificity, "suspected_or_referred": either}
    found |= {
        "referred": referral(~answers.right[decided], referred),
        "by_class": [
            {"name": name, "suspected": _count(own & (column != NOT_SUSPECTED) & ~referred)}
            | {"not_suspected": _count(own & (column == NOT_SUSPECTED)), "referred": _count(own & referred)}
            for name, own in ((name, truth == number) for number, name in enumerate(answers.classes))
        ],
    }
    return dict(as_json(found))


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(chosen.sum())


def _target(words: Sequence[str], classes: Sequence[str]) -> str | None:
    return next((name for name in classes if f"{name}{_SUSPECTED}" in words), None)


SMALL = 30  # images; below, a share says little
REPORT_FORM = 1


def evaluate_table(table: ResultsTable, labels: LabelTable, seed: int) -> JsonObject:
    """Measure every network of a table.

    Args:
        table: What cxr-batch wrote.
        labels: What the images show.
        seed: Of bootstrap and null band.

    Returns:
        What docs/cxr-eval.md describes.

    Raises:
        DataError: Nothing matches, a label is unknown, or a network has no answer for any labelled file.
    """
    matched = match(table, labels)
    return {
        "evaluation": REPORT_FORM,
        "results": table.name,
        "labels": labels.name,
        "seed": seed,
        "counts": {"rows": len(table.paths), "labels": len(labels.files), **matched.counts()},
        "networks": [_network(table, matched, network, seed) for network in table.networks],
    }


def predictions_of(
    table: ResultsTable, matched: Matched, network: NetworkPredictions, chosen: NDArray[np.bool_] | None = None
) -> Predictions:
    """Return what is measured of a network: the labelled rows that `chosen`, bool (n,), marks.

    By default those with an answer.
    """
    kept = network.predicted[matched.rows] != NO_ANSWER if chosen is None else chosen
    if not kept.any():
        raise DataError(f"{table.name} has no answer of {network.name} for any labelled file; nothing can be measured")
    group = groups(matched.labels, [table.digests[row] for row in matched.rows])
    truth = true_classes(matched, network.classes)
    return Predictions(network.classes, truth[kept], network.probabilities[matched.rows[kept]], group[kept])


def true_classes(matched: Matched, classes: tuple[str, ...]) -> Numbers:
    """Return the class numbers of the labelled rows, int64 (n,)."""
    return np.array([classes.index(label.label) for label in matched.labels], np.int64)


def _network(table: ResultsTable, matched: Matched, network: NetworkPredictions, seed: int) -> JsonObject:
    answers = predictions_of(table, matched, network)
    answered = network.predicted[matched.rows] != NO_ANSWER
    rows = matched.rows[answered]
    found = {
        "network": network.name,
        "n": len(answers),
        "without_answer": named([table.paths[row] for row in matched.rows[~answered]]),
        "in_training_set": named([table.paths[row] for row in rows if network.trained[row]]),
        "metrics": overall_metrics(answers, seed),
        "classes": class_metrics(answers),
        "confusion": confusion_rows(answers),
        "missing_as_errors": _missing_as_errors(matched, network),
        "calibration": calibration(answers, seed),
        "decisions": decisions_section(answers, [network.decisions[row] for row in rows]),
        "sources": _by_source(
            answers, [label.source for label, kept in zip(matched.labels, answered, strict=True) if kept]
        ),
    }
    return dict(as_json(found))


def _missing_as_errors(matched: Matched, network: NetworkPredictions) -> JsonObject:
    truth = true_classes(matched, network.classes)
    right = network.predicted[matched.rows] == truth
    return {
        "n": len(truth),
        "accuracy": wilson(int(right.sum()), len(truth)),
        "sensitivity": {
            name: wilson(int(right[truth == number].sum()), int((truth == number).sum()))
            for number, name in enumerate(network.classes)
        },
    }


def _by_source(answers: Predictions, sources: list[str]) -> list[JsonObject]:
    names = np.array(sources)
    cells = sorted({(source, int(number)) for source, number in zip(sources, answers.truth, strict=True) if source})
    found = []
    for source, number in cells:
        own = (names == source) & (answers.truth == number)
        share = wilson(int(answers.right[own].sum()), int(own.sum()))
        cell = {"source": source, "label": answers.classes[number], "n": int(own.sum()), "sensitivity": share}
        found.append(cell | {"small": bool(own.sum() < SMALL)})
    return found


Member = tuple[ResultsTable, Matched, NetworkPredictions]


def compare_tables(first: ResultsTable, second: ResultsTable, labels: LabelTable, seed: int) -> JsonObject:
    """Compare every network of `first` and `second` with every other one, in pairs, on common files.

    Raises:
        DataError: As for `evaluate_table`; or the networks have different classes or no file in common.
    """
    members = [
        (table, matched, network)
        for table, matched in ((table, match(table, labels)) for table in (first, second))
        for network in table.networks
    ]
    classes = members[0][2].classes
    for table, _, network in members[1:]:
        if network.classes != classes:
            raise DataError(
                f"{network.name} of {table.name} has the classes {', '.join(network.classes)}, {members[0][2].name} "
                f"has {', '.join(classes)}; only networks of the same classes, in the same order, can be compared"
            )
    common = sorted(set.intersection(*map(_answered, members)))
    if not common:
        raise DataError(f"{first.name} and {second.name} have no labelled file that all their networks answered")
    some = sorted(set.union(*map(_answered, members)) - set(common))
    letters = ["a"] * len(first.networks) + ["b"] * len(second.networks)
    outputs = [
        _outputs(member, f"{letter}: {member[2].name}", common) for member, letter in zip(members, letters, strict=True)
    ]
    tests, probabilities = zip(*outputs, strict=True)
    return {
        "comparison": REPORT_FORM,
        "results": [first.name, second.name],
        "labels": labels.name,
        "seed": seed,
        "n": len(common),
        "answered_by_some_only": named(some),
        "target": classes[0],
        "comparisons": as_json(compare_models(tests, probabilities, seed, classes[0])),
    }


def _answered(member: Member) -> set[str]:
    _, matched, network = member
    answered = network.predicted[matched.rows] != NO_ANSWER
    return {name for name, has_answer in zip(matched.names, answered, strict=True) if has_answer}


def _outputs(member: Member, name: str, common: list[str]) -> tuple[SavedOutputs, Probabilities]:
    """The common files, by name; logarithms of the probabilities are logits that give them."""
    table, matched, network = member
    place = {name: number for number, name in enumerate(matched.names)}
    answers = predictions_of(table, matched, network, np.ones(len(matched.rows), bool))
    order = np.array([place[name] for name in common])
    probabilities = answers.probabilities[order]
    outputs = SavedOutputs(
        name=name,
        classes=answers.classes,
        files=np.array(common),
        index=order,
        truth=answers.truth[order],
        split=np.full(len(order), "test"),
        group=answers.group[order],
        source=np.array([matched.labels[number].source for number in order]),
        logits=np.log(np.clip(probabilities, SMALLEST, 1)).astype(np.float32),
        features=np.zeros((len(order), 0), np.float32),
    )
    return outputs, probabilities


RATES = {"sensitivity": "sensitivity, %", "specificity": "specificity, %", "ppv": "PPV, %", "npv": "NPV, %"}


def network_blocks(network: JsonObject) -> Iterator[ReportBlock]:
    """Give the parts of one network's section of what `evaluate_table` found."""
    name = network["network"]
    yield _overall(network)
    yield _by_class(name, network["classes"])
    names = [one["name"] for one in network["classes"]]
    counted = zip(names, network["confusion"], strict=True)
    yield ReportBlock(
        f"{name}: confusion", (), ("true", *names), tuple((true, *map(str, row)) for true, row in counted)
    )
    yield _calibration(name, network["calibration"])
    if network["decisions"]:
        yield _decisions(name, network["decisions"])
    if network["sources"]:
        yield _source_block(name, network["sources"])


def _overall(network: JsonObject) -> ReportBlock:
    metrics, missing = network["metrics"], network["missing_as_errors"]
    as_errors = (("accuracy, answers missing count as errors", share(missing["accuracy"])),)
    return ReportBlock(
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
            ("macro AUC", number_with_interval(metrics["macro_auc"])),
            ("log loss", number_with_interval(metrics["log_loss"])),
            ("Brier score", number_with_interval(metrics["brier"])),
            ("macro F1", plain(metrics["macro_f1"])),
            ("Matthews correlation", plain(metrics["mcc"])),
        ),
    )


def _by_class(name: str, classes: list[JsonObject]) -> ReportBlock:
    rows = (
        ("images", *(str(one["n"]) for one in classes)),
        *((label, *(bare_percent(one[key]) for one in classes)) for key, label in RATES.items()),
        ("AUC", *(number_with_interval(one["auc"]) for one in classes)),
    )
    return ReportBlock(f"{name}: by class", (), ("figure", *(one["name"] for one in classes)), rows)


def _calibration(name: str, found: JsonObject) -> ReportBlock:
    verdict = "is told" if found["distinguishable"] else "cannot be told"
    sentence = (
        f"Calibration error (15 bins) {plain(found['ece15'])}; a calibrated model shows {plain(found['null_low'])} to "
        f"{plain(found['null_high'])} on as many images (p = {probability(found['p'])}): it {verdict} from one."
    )
    rows = (
        (plain(one["confidence"], 3), share({"value": one["accuracy"], **one}), str(one["n"]))
        for one in found["reliability"]
    )
    return ReportBlock(f"{name}: calibration", (sentence,), ("mean confidence", "right", "images"), tuple(rows))


def _decisions(name: str, found: JsonObject) -> ReportBlock:
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
    return ReportBlock(f"{name}: decisions of the table", tuple(sentences), header, rows)


def _source_block(name: str, sources: list[JsonObject]) -> ReportBlock:
    rows = (
        (one["source"], one["label"], f"{one['n']}{' (few)' if one['small'] else ''}", share(one["sensitivity"]))
        for one in sources
    )
    return ReportBlock(f"{name}: by source", (), ("source", "class", "images", "sensitivity"), tuple(rows))


def blocks(report: JsonObject) -> list[ReportBlock]:
    """Return the parts of what `evaluate_table` or `compare_tables` found."""
    if "comparison" in report:
        return [_common(report), *map(_pair, report["comparisons"])]
    return [_counts(report), *(block for network in report["networks"] for block in network_blocks(network))]


def render_markdown(report: JsonObject) -> str:
    """Return a report as Markdown."""
    parts = []
    for block in blocks(report):
        parts += [f"## {block.title}", *block.sentences]
        parts += [markdown_table(block.header, block.rows)] if block.rows else []
    return "\n\n".join(["# Evaluation against labels", *parts, RESEARCH_ONLY]) + "\n"


def _counts(report: JsonObject) -> ReportBlock:
    counts = report["counts"]
    return ReportBlock(
        f"{report['results']} against {report['labels']}",
        (
            f"{counts['labelled_rows']:,} of {counts['rows']:,} rows have a label.",
            *left_out(counts["rows_without_label"], "Rows without a label, left out"),
            *left_out(counts["labels_without_row"], "Labels without a row, left out"),
        ),
    )


def _common(report: JsonObject) -> ReportBlock:
    first, second = report["results"]
    return ReportBlock(
        f"a: {first}, b: {second}, against {report['labels']}: {report['n']:,} common images",
        (
            *left_out(report["answered_by_some_only"], "Labelled files not answered by all, left out"),
            f"McNemar's exact test; DeLong's for the AUC of {report['target']}; adjusted by Holm over the pairs.",
        ),
    )


def _pair(one: JsonObject) -> ReportBlock:
    gap = one["detectable_gap_images"]
    seen = "none" if gap is None else f"{gap} images, {plain(one['detectable_gap_points'], 1)} points"
    return ReportBlock(
        f"{one['a']} less {one['b']}",
        (),
        ("figure", "difference [95 % interval]"),
        (
            ("accuracy, points", signed_points(one["accuracy_gap"])),
            ("right in one only", f"{one['only_a_right']} : {one['only_b_right']}"),
            ("p, accuracy", probability(one["p_holm"])),
            ("smallest gap that so many disagreements can show", seen),
            ("macro AUC, points", signed_points(one["auc_gap"])),
            ("p, AUC", probability(one["auc_p_holm"])),
            ("log loss", number_with_interval(one["log_loss_gap"])),
        ),
    )
