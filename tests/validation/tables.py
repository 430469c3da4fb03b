"""Tables of cxr-batch without pictures."""

import csv
from zlib import crc32

import numpy as np

from cxr.inference.decisions import DecisionRecord

CLASSES = ("covid", "normal", "viral_pneumonia")


def row(path, truth=0, seed=0, prefix="", model="cnn1-0123456789ab", skill=2.0, **cells):
    """Return the cells of an answered row, as a table holds them."""
    logits = np.random.default_rng(seed).normal(size=3) + skill * np.eye(3)[truth]
    probabilities = (np.exp(logits) / np.exp(logits).sum()).round(6)
    best = int(probabilities.argmax())
    decision = "covid_suspected" if probabilities[0] > 0.3 else "not_suspected"
    return {
        "path": path,
        "status": "ok",
        f"{prefix}prediction": CLASSES[best],
        **{f"{prefix}probability_{name}": f"{value:.6f}" for name, value in zip(CLASSES, probabilities, strict=True)},
        f"{prefix}decision": "refer" if probabilities[best] < 0.5 else decision,
        f"{prefix}refer_reason": "several_classes" if probabilities[best] < 0.5 else "",
        f"{prefix}in_training_set": "no",
        "sha256": f"{crc32(path.encode()):064d}",
        f"{prefix}model": model,
    } | cells


def unanswered(path, **cells):
    """Return the cells of a row without an answer."""
    return dict.fromkeys(row(path), "") | {"path": path, "status": "error", "model": "cnn1-0123456789ab"} | cells


def rows(n=90, skill=2.0, seed=0):
    """Return answered rows; the class of the i-th is i modulo 3."""
    return [row(f"{CLASSES[i % 3]}/{i}.png", i % 3, seed + i, skill=skill) for i in range(n)]


# What decides as the rows of `row` have it, where one class is more probable than the others together.
APPLIED = DecisionRecord("covid_sens95", "covid", 0.3, 1.0, 0.05, dict.fromkeys(CLASSES, 0.5), "")


def whole_row(path, number=0, **cells):
    """Return a row with every cell that is looked at, that keeps the rules of APPLIED; its class is `number`."""
    return row(path, number, number, skill=9) | {"reason": "", "prediction_set": CLASSES[number]} | cells


def write_csv(path, table):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return path


def write_labels(path, table, **columns):
    """Write labels after the first folder of each row's path; `columns` are functions of the row's number."""
    known = [
        {"path": one["path"], "label": one["path"].split("/")[0]}
        | {name: value(number) for name, value in columns.items()}
        for number, one in enumerate(table)
    ]
    return write_csv(path, known)
