"""Answers of cross-validations that never ran."""

import numpy as np
import pandas as pd

from cxr.validation.crossval import PROBABILITY

CLASSES = ("covid", "normal", "viral_pneumonia")


def answers(seeds=(7, 8), folds=5, n=300, networks=(("cnn1", 2.0),), patients=None):
    """Return a table as `ask` gives it; `networks` are names with what the logit of the truth has on top of noise."""
    return pd.concat(
        [_of(name, skill, seed, folds, n, patients) for name, skill in networks for seed in seeds], ignore_index=True
    )


def _of(name, skill, seed, folds, n, patients):
    numbers = np.arange(n)
    truth = numbers % 3
    fold = np.random.default_rng(seed).permutation(numbers // 3 % folds)
    logits = np.random.default_rng([seed, len(name)]).normal(size=(n, 3)) + skill * np.eye(3)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "network": name,
            "seed": seed,
            "fold": fold,
            "file": [f"{i:04d}.png" for i in numbers],
            "patient": "" if patients is None else patients,
            "duplicate_group": numbers,
            "label": np.array(CLASSES)[truth],
            **{f"{PROBABILITY}{label}": probabilities[:, i] for i, label in enumerate(CLASSES)},
        }
    )


def by_hand(rows):
    """Return a table of answers from rows of network, seed, fold, file, label and the class that was predicted."""
    return pd.DataFrame(
        [
            {"network": network, "seed": seed, "fold": fold, "file": file, "group": int(file), "label": label}
            | {f"{PROBABILITY}{one}": 0.8 if one == predicted else 0.1 for one in CLASSES}
            for network, seed, fold, file, label, predicted in rows
        ]
    )
