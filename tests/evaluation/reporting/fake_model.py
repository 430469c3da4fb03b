"""One model's part of a report, from random logits; simple formulas, no intervals worth the name."""

from typing import Any

import numpy as np

CLASSES = ("covid", "normal", "viral_pneumonia")
TEST = 735
EXTREME = ("too_small", "extreme_aspect")


def six(value: float) -> float:
    return round(float(value), 6)


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": six(value), "low": six(max(0, value - half)), "high": six(min(1, value + half))}


def model(name: str, skill: float, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    truth = np.arange(TEST) % 3
    logits = random.normal(size=(TEST, 3)) + skill * np.eye(3)[truth]
    chances = np.exp(1.4 * logits) / np.exp(1.4 * logits).sum(axis=1, keepdims=True)
    answer = chances.argmax(axis=1)
    confusion = [[int(np.sum((truth == a) & (answer == b))) for b in range(3)] for a in range(3)]
    right = float(np.mean(truth == answer))
    return {
        "name": name,
        "screening": seed == 0,
        "members": ["cnn1", "cnn3"] if name == "ensemble" else [],
        "initialisation": "random",
        "parameters": 209651 * (seed + 1) ** 3,
        "gflop": 0.0781 * (seed + 1),
        **dict.fromkeys(("epochs", "best_epoch"), None if name == "ensemble" else 28 - seed),
        "validation_log_loss": six(0.126578 + 0.05 * seed),
        "decided_on": "validation",
        "n": TEST,
        "metrics": {
            **{key: interval(right, 0.016) for key in ("accuracy", "balanced_accuracy")},
            "macro_auc": interval(0.993 - 0.006 * seed, 0.004),
            "log_loss": interval(0.14 + 0.05 * seed, 0.03),
            "brier": interval(0.072 + 0.02 * seed, 0.02),
            "macro_f1": six(right),
            "mcc": six(1.5 * right - 0.5),
        },
        "classes": [by_class(number, confusion) for number in range(3)],
        "confusion": confusion,
        "calibration": calibration(chances, truth),
        "operating_points": points(),
        "selective": selective(chances, truth),
        "conformal": conformal(),
        "answering": answering(),
        "decision_curve": benefit(chances[:, 0], truth == 0),
        "roc": [roc(chances[:, k], truth == k, CLASSES[k]) for k in range(3)],
        "pr": [pr(chances[:, k], truth == k, CLASSES[k]) for k in range(3)],
        "distributions": [spread(chances, truth, a, b) for a in range(3) for b in range(3)],
        "lift": {
            "floor": interval(0.831, 0.027),
            "over_floor": interval(right - 0.831, 0.028),
            "frame": interval(0.58, 0.035),
            "over_frame": interval(right - 0.58, 0.04),
        },
        "dependence": {
            "regions": "box",
            "full": interval(right, 0.016),
            "lungs_blacked": interval(0.7, 0.033),
            "border_only": interval(0.52, 0.036),
            "lungs_only": interval(0.66, 0.034),
            "lung_dependence": 0.41,
        },
        "subgroups": [
            {
                "group": "source",
                "value": "sirm.org",
                "label": "covid",
                "n": 21,
                "sensitivity": interval(0.857, 0.15),
                "small": True,
            },
            {
                "group": "children_adults",
                "value": "children",
                "label": "normal",
                "n": 34,
                "sensitivity": interval(0.88, 0.11),
                "small": False,
            },
            {
                "group": "children_adults",
                "value": "adults",
                "label": "normal",
                "n": 211,
                "sensitivity": interval(0.94, 0.03),
                "small": False,
            },
            {
                "group": "brightness",
                "value": "darkest third",
                "label": None,
                "n": 245,
                "sensitivity": interval(0.93, 0.03),
                "small": False,
            },
        ],
        "robustness": [
            {
                "perturbation": key,
                "text": words,
                "balanced_accuracy": six(right - cost),
                "change": six(-cost),
                "flips": six(1.5 * cost),
            }
            for key, words, cost in (
                ("jpeg_50", "JPEG quality 50", 0.004),
                ("bright", "brightness +20 %", 0.021),
                ("noise", "Gaussian noise", 0.062),
                ("invert", "inverted", 0.55),
                ("mirror", "mirrored", 0.011),
            )
        ],
        "shuffle": [{"grid": grid, "balanced_accuracy": six(0.9 - 0.07 * grid)} for grid in (2, 4, 8)],
        "frequencies": [
            {"kind": kind, "cut": cut, "balanced_accuracy": six(0.4 + (cut if kind == "low" else 0.5 - cut))}
            for kind in ("low", "high")
            for cut in (0.05, 0.1, 0.2, 0.4)
        ],
        "cam": {
            "similarity_randomised": 0.21 + 0.2 * seed,
            "void": seed > 1,
            "cells": [8, 8],
            "inside": [{"class": label, "n": 245, "enrichment_median": 1.12} for label in CLASSES],
        },
        "sources": [
            {
                "source": source,
                "n": n,
                "recall": interval(recall, 0.06),
                "recall_in_training": interval(0.95, 0.03),
                "how": "refitted" if seed == 0 else "head refitted",
                "small": n < 30,
            }
            for source, n, recall in (("bimcv.cipf.es", 858, 0.71), ("eurorad.org", 88, 0.83), ("sirm.org", 24, 0.9))
        ],
        "errors": [entry(number, 0.99 - number / 90, right=False) for number in range(12)],
        "examples": [entry(20 + number, 0.9, right=True) for number in range(6)],
        "confusion_rows": [[six(one / sum(row)) for one in row] for row in confusion],
    }


def entry(number: int, probability: float, right: bool) -> dict[str, Any]:
    actual = CLASSES[number % 3]
    found = {
        "file": f"COVID/images/COVID-{1000 + number}.png",
        "actual": actual,
        "predicted": actual if right else CLASSES[(number + 1) % 3],
        "probability": six(probability),
    }
    return found if right else found | {"loss": six(5 - number / 4)}


def by_class(number: int, confusion: list[list[int]]) -> dict[str, Any]:
    table = np.array(confusion)
    hit, size, called = table[number, number], table[number].sum(), table[:, number].sum()
    rest = TEST - size
    specificity = 1 - (called - hit) / rest
    return {
        "name": CLASSES[number],
        "n": int(size),
        "sensitivity": interval(hit / size, 0.026),
        "specificity": interval(specificity, 0.015),
        "ppv": interval(hit / called, 0.027),
        "npv": interval(0.975, 0.013),
        "auc": interval(0.992, 0.005),
        "f1": six(2 * hit / (size + called)),
        "lr_plus": six(hit / size / (1 - specificity)),
        "lr_minus": six((1 - hit / size) / specificity),
    }


def calibration(chances: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    best, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    return {
        "temperature": 1.234567,
        "before": {"log_loss": 0.151, "brier": 0.075, "ece10": 0.021, "ece15": 0.024},
        "after": {
            "log_loss": 0.14,
            "brier": 0.072,
            "ece10": 0.012,
            "ece15": 0.014,
            "null_low": 0.006,
            "null_high": 0.021,
            "p": 0.37,
        },
        "distinguishable": False,
        "reliability": reliability(best, right),
        "by_class": [
            {"name": name, "reliability": reliability(chances[:, k], truth == k)} for k, name in enumerate(CLASSES)
        ],
    }


def reliability(chance: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    bins = np.array_split(np.argsort(chance, kind="stable"), 10)
    return [
        {
            "confidence": six(chance[one].mean()),
            "accuracy": six(right[one].mean()),
            "n": len(one),
            "low": six(max(0, right[one].mean() - 0.08)),
            "high": six(min(1, right[one].mean() + 0.06)),
        }
        for one in bins
    ]


def points() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "threshold": threshold,
            "aim": aim,
            "chosen_sensitivity": high,
            "chosen_specificity": low,
            "sensitivity": interval(high - 0.008, 0.028),
            "specificity": interval(low - 0.004, 0.018),
            "by_prevalence": [
                {"prevalence": p, "ppv": six(high * p / (high * p + (1 - low) * (1 - p))), "npv": six(1 - p / 9)}
                for p in (0.33, 0.1, 0.02, 0.01)
            ],
        }
        for name, threshold, aim, high, low in (
            ("covid_sens95", 0.318842, "sensitivity at least 0.95 on validation", 0.954082, 0.964286),
            ("covid_spec95", 0.20117, "specificity at least 0.95 on validation", 0.969388, 0.951531),
        )
    ]


def selective(chances: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    order = np.argsort(-chances.max(axis=1), kind="stable")
    wrong = (chances.argmax(axis=1) != truth)[order]
    risk = np.cumsum(wrong) / np.arange(1, TEST + 1)
    places = np.linspace(0, TEST - 1, 101).astype(int)
    at = [(c, int(c * TEST) - 1) for c in (1.0, 0.95, 0.9, 0.8)]
    return {
        "curve": [{"coverage": six((k + 1) / TEST), "risk": six(risk[k])} for k in places],
        "at": [{"coverage": c, "risk": six(risk[k]), "threshold": six(chances.max(axis=1)[order][k])} for c, k in at],
        "aurc": 0.0061,
        "augrc": 0.0057,
    }


def conformal() -> dict[str, Any]:
    return {
        "alpha": 0.05,
        "by_class": [{"name": name, "n": 245, "coverage": interval(0.95, 0.027)} for name in CLASSES],
        "sizes": {"0": 3, "1": 673, "2": 59, "3": 0},
        "referred": {
            "share": interval(0.084354, 0.02),
            "errors": 36,
            "errors_referred": 15,
            "share_of_errors_referred": interval(0.416667, 0.16),
            "error_answered": interval(0.031204, 0.013),
        },
    }


def answering() -> dict[str, Any]:
    def paths(rejected: float, referred: float) -> dict[str, Any]:
        return {
            "rejected": interval(rejected, 0.004),
            "referred": interval(referred, 0.021),
            "answered": interval(1 - rejected - referred, 0.023),
            "errors": 36,
            "errors_rejected": 1,
            "errors_referred": 15,
            "share_of_errors_rejected": interval(0.027778, 0.05),
            "share_of_errors_referred": interval(0.416667, 0.16),
            "error_answered": interval(0.031204, 0.013),
            "missed": interval(0.012245, 0.01),
        }

    reasons = {
        "rejected_by": (*EXTREME, "blank", "colour_photo", "not_a_radiograph"),
        "referred_by": ("out_of_distribution", "empty_set", "several_classes", "disagreement"),
        "flags": ("overexposed", "cropped", "out_of_distribution"),
    }
    by_reason = {key: {name: interval(0.01, 0.008) for name in names} for key, names in reasons.items()}
    return {"gated": paths(0.005442, 0.084354) | by_reason, "ungated": paths(0.0, 0.061224)}


def benefit(chance: np.ndarray, sick: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for percent in range(1, 100):
        t = percent / 100
        treated, odds = chance >= t, t / (1 - t)
        rows.append(
            {
                "threshold": t,
                "none": 0.0,
                "all": six(sick.mean() - (1 - sick.mean()) * odds),
                "model": six(np.mean(treated & sick) - np.mean(treated & ~sick) * odds),
            }
        )
    return rows


def roc(chance: np.ndarray, sick: np.ndarray, name: str) -> dict[str, Any]:
    cuts = np.quantile(chance, np.linspace(1, 0, 120))
    return {
        "class": name,
        "fpr": [0.0, *(six(np.mean(chance[~sick] >= c)) for c in cuts)],
        "tpr": [0.0, *(six(np.mean(chance[sick] >= c)) for c in cuts)],
    }


def pr(chance: np.ndarray, sick: np.ndarray, name: str) -> dict[str, Any]:
    cuts = np.quantile(chance, np.linspace(0.99, 0, 120))
    return {
        "class": name,
        "recall": [six(np.mean(chance[sick] >= c)) for c in cuts],
        "precision": [six(np.mean(sick[chance >= c])) for c in cuts],
    }


def spread(chances: np.ndarray, truth: np.ndarray, a: int, b: int) -> dict[str, Any]:
    counts, edges = np.histogram(chances[truth == a, b], bins=20, range=(0, 1))
    return {
        "class": CLASSES[a],
        "probability_of": CLASSES[b],
        "edges": [six(e) for e in edges],
        "counts": [int(c) for c in counts],
    }
