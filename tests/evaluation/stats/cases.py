"""Outputs of networks that were never run."""

import numpy as np

from cxr.core.records import as_json
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.decisions import fit_decisions
from cxr.inference.decisions import parse_decisions
from cxr.inference.outputs import SavedOutputs

CLASSES = ("covid", "normal", "viral_pneumonia")


def outputs(n=300, seed=1, skill=3.0, name="cnn1", split="test", truth=None, group=None):
    """Return n outputs whose classes come in turn; `skill` is what the logit of the truth has on top of noise."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 3 if truth is None else truth
    logits = generator.normal(size=(len(truth), 3)) * 1.5 + skill * np.eye(3)[truth]
    return SavedOutputs(
        name=name,
        classes=CLASSES,
        files=np.array([f"{i}.png" for i in range(len(truth))]),
        index=np.arange(len(truth)),
        truth=truth,
        split=np.full(len(truth), split),
        group=np.arange(len(truth)) if group is None else group,
        source=np.full(len(truth), ""),
        logits=logits.astype(np.float32),
        features=np.zeros((len(truth), 2), np.float32),
    )


def decisions(validation, target="covid", alpha=0.05):
    return parse_decisions(
        {
            "decisions": 1,
            "network": "a" * 64,
            "classes": list(CLASSES),
            "data": "b" * 64,
            "validation_images": len(validation),
            **as_json(fit_decisions(validation, target, alpha)),
            "reference": None,
            "training_pixels": [],
        }
    )


def calibrated(n, seed, sharpness=1.5):
    """Return answers whose truth is drawn from their own probabilities."""
    generator = np.random.default_rng(seed)
    probabilities = np.exp(generator.normal(size=(n, 3)) * sharpness)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth = (generator.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return Predictions(CLASSES, truth, probabilities, np.arange(n))
