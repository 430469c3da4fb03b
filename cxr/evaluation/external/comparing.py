"""Networks of two tables against each other, on the labelled files that all of them answered."""

import numpy as np

from cxr.errors import DataError
from cxr.evaluation.external.labels import Labels
from cxr.evaluation.external.matching import Matched, match, named
from cxr.evaluation.external.measuring import REPORT_FORM, answers_of
from cxr.evaluation.external.screened import NO_ANSWER, NetworkAnswers, Screened
from cxr.evaluation.metrics import Probabilities
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.answers import SMALLEST
from cxr.evaluation.stats.comparing import compare_models
from cxr.files import JsonObject

Member = tuple[Screened, Matched, NetworkAnswers]


def compare_tables(first: Screened, second: Screened, labels: Labels, seed: int) -> JsonObject:
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
        "comparisons": compare_models(tests, probabilities, seed, classes[0]),
    }


def _answered(member: Member) -> set[str]:
    _, matched, network = member
    answered = network.predicted[matched.rows] != NO_ANSWER
    return {name for name, has_answer in zip(matched.names, answered, strict=True) if has_answer}


def _outputs(member: Member, name: str, common: list[str]) -> tuple[SavedOutputs, Probabilities]:
    """The common files, by name; logarithms of the probabilities are logits that give them."""
    table, matched, network = member
    place = {name: number for number, name in enumerate(matched.names)}
    answers = answers_of(table, matched, network, np.ones(len(matched.rows), bool))
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
