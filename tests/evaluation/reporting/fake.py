"""A report as a run on real radiographs would give it, made of random numbers: equal for equal arguments."""

from collections import Counter
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from cxr.core.records import as_json, from_json
from cxr.dataset.audits.splits import LEAK_ACROSS_SPLITS
from cxr.evaluation.records import Report
from cxr.evaluation.report import ALWAYS
from cxr.evaluation.reporting.standards import standards
from tests.evaluation.reporting.fake_model import CLASSES, interval, model, six

MODELS = (("cnn1", 3.2), ("cnn3", 2.9), ("vgg16", 2.3), ("resnet50", 2.4), ("ensemble", 3.0))
SOURCES = {
    "covid": {"bimcv.cipf.es": 858, "github.com/armiro/COVID-CXNet": 135, "eurorad.org": 88, "sirm.org": 144},
    "normal": {"kaggle.com/c/rsna-pneumonia-detection-challenge": 1056, "kaggle.com/paultimothymooney": 169},
    "viral_pneumonia": {"kaggle.com/paultimothymooney": 1225},
}
HOSTILE = "</script><img src=x onerror=alert(1)>|`*\u202e.png"


def report(names: int = len(MODELS)) -> Report:
    """Return a whole report of the first `names` models."""
    return from_json(Report, report_json(names))


def report_json(names: int = len(MODELS)) -> dict[str, Any]:
    """Return the same as it stands in report.json."""
    models = [model(name, skill, number) for number, (name, skill) in enumerate(MODELS[:names])]
    found = audits()
    whole: dict[str, Any] = {
        "format": 1,
        "title": "Evaluation report",
        "data": data(),
        "verdict": verdict(models[0]),
        "banner": [
            "These figures do not show that a network detects disease: in the public database the class of an image "
            "and the collection it comes from are nearly the same thing.",
            "On this test split, knowing only the source collection gives 95.2 % accuracy without looking at the "
            "image, and 22 numbers of overall grey give 83.1 % balanced accuracy.",
        ],
        "waivers": [{"stage": "split", "audit": "leak_across_splits", "why": "known twin 0.97 apart, see notes"}],
        "flow": flow(),
        "audits": found,
        "floor": {
            "floor": interval(0.831, 0.027),
            "frame": interval(0.58, 0.035),
            "oracle": 0.952,
            "oracle_balanced_accuracy": 0.951,
            "chance": 0.333333,
        },
        "chance": 0.333333,
        "screening_model": "cnn1",
        "models": models,
        "comparisons": comparisons([one["name"] for one in models]),
        "learning_curves": curves([one["name"] for one in models if not one["members"]]),
        "reproducibility": {
            "commit": "f5e82c7b913bce68e9c4642f6e7872b73756d1f5",
            "data_sha256": "f06ece6b1c6a88b8" * 4,
            "params": {
                "seed": 7,
                "image": {"side": 128},
                "split": {"test": 0.2, "validation": 0.16},
                "train_cnn1": {"epochs": 40},
                "classes": list(CLASSES),
            },
            "versions": {"python": "3.11.7", "numpy": "2.4.6", "scikit-learn": "1.9.1", "openvino": "2026.4.1"},
            "networks": {one["name"]: f"{number}9de6cd8ac371814" * 4 for number, one in enumerate(models)},
        },
        "limitations": [
            "Viral pneumonia is all children, COVID-19 nearly all adults: a network may tell ages apart, not diseases.",
            ALWAYS[0],
            "One split and one seed: the spread over seeds is not in the intervals.",
        ],
        "audit_counts": dict(Counter(one["result"] for one in found)),
        "standards": [],
    }
    return whole | {"standards": as_json(standards(from_json(Report, whole)))}


def verdict(chosen: dict[str, Any]) -> dict[str, Any]:
    value = chosen["metrics"]["balanced_accuracy"]["value"]
    return {
        "level": "warn",
        "headline": f"cnn1 sorts 735 images of the collections it was trained on with a balanced accuracy of "
        f"{100 * value:.1f} %, 12.0 [9.1, 14.8] points above what overall grey alone gives (83.1 %). Whether it "
        "detects disease, these data cannot show.",
        "sentences": ["It refers 8.4 % of the test images to a reader. Of what it answers, 3.1 % is wrong."],
    }


def data() -> dict[str, Any]:
    return {
        "images": 3675,
        "synthetic_images": 0,
        "sha256": "f06ece6b1c6a88b8" * 4,
        "classes": dict.fromkeys(CLASSES, 1225),
        "classes_by_split": {
            split: dict.fromkeys(CLASSES, number)
            for split, number in (("train", 784), ("validation", 196), ("test", 245))
        },
        "sources": [
            {"label": label, "source": source, "images": images}
            for label, found in SOURCES.items()
            for source, images in found.items()
        ],
        "shares": dict.fromkeys(CLASSES, 0.333333),
        "images_per_split": {"train": 2352, "validation": 588, "test": 735},
        "patients_known": 1233,
    }


def flow() -> list[dict[str, Any]]:
    first = {"covid": 1300, "normal": 2000, "viral_pneumonia": 1233, "lung_opacity": 200}
    kept = {label: first[label] for label in CLASSES}
    second = kept | {"covid": 1290, "viral_pneumonia": 1225}
    steps: list[dict[str, Any]] = [
        {"step": "in the data", "images": first, "dropped": 0, "why": ""},
        {"step": "chosen classes", "images": kept, "dropped": 200, "why": "Lung opacity cannot be attributed"},
        {"step": "duplicates", "images": second, "dropped": 18, "why": "equal pixels; one of each group is kept"},
        {"step": "balanced", "images": dict.fromkeys(CLASSES, 1225), "dropped": 840, "why": "equal classes, at random"},
    ]
    return [step | {"total": sum(step["images"].values())} for step in steps]


def audits() -> list[dict[str, Any]]:
    rows = [
        ("prepare", "exact_duplicates", "Exact duplicates", "warn", "18 files equal another, none across classes."),
        ("prepare", "label_conflicts", "One picture, two labels", "pass", "No picture has two labels."),
        (
            "prepare",
            "format_leak_decoded",
            "Format leakage after decoding",
            "pass",
            "0.341 balanced accuracy, chance 0.333.",
        ),
        (
            "prepare",
            "class_by_source",
            "Class against source",
            "warn",
            "Cramer's V 0.94; the source gives 95.6 % away.",
        ),
        (
            "prepare",
            "metadata_contradiction",
            "Metadata against pixels",
            "warn",
            "Normal: stated sources 0.514, found 0.974.",
        ),
        ("split", "leak_across_splits", LEAK_ACROSS_SPLITS.name, "fail", "1 group stands in train and test."),
        ("evaluate", "appearance_floor", "Lift over overall grey", "pass", "12.0 points [9.1, 14.8] above the floor."),
        (
            "evaluate",
            "lung_dependence",
            "Dependence on the lungs",
            "warn",
            "0.41 of what stands above chance needs the lungs.",
        ),
        ("evaluate", "mask_shape", "Shape of the lung mask", "not_applicable", "The release has no masks."),
        ("evaluate", "attention", "Heat maps", "not_measurable", "Below 100 test images of a class."),
    ]
    return [
        {
            "id": key,
            "name": name,
            "stage": stage,
            "result": result,
            "found": found,
            "limit": "A failure if a group stands in two splits.",
            "fixable": stage != "evaluate",
            "waiver": "known twin 0.97 apart, see notes" if result == "fail" else None,
            "model": "cnn1" if key == "lung_dependence" else None,
            "values": {
                "images": 3675,
                "share": 0.0049,
                "blocks": {"lower": 1341, "upper": 1410},
                "files": ["a.png", "b.png"],
            },
        }
        for stage, key, name, result, found in rows
    ]


def comparisons(names: list[str]) -> list[dict[str, Any]]:
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    return [
        {
            "a": a,
            "b": b,
            "accuracy_gap": {
                "value": six(0.01 * number),
                "low": six(0.01 * number - 0.02),
                "high": six(0.01 * number + 0.02),
            },
            "only_a_right": 20 + number,
            "only_b_right": 11,
            "p": six(0.3 / (number + 1) ** 4),
            "p_holm": six(0.9 / (number + 1) ** 4),
            "auc_gap": {"value": 0.002, "low": -0.001, "high": 0.005},
            "auc_p": 0.21,
            "auc_p_holm": 0.63,
            "log_loss_gap": {"value": -0.03, "low": -0.06, "high": 0.004},
            "detectable_gap_images": 12,
            "detectable_gap_points": 0.016327,
        }
        for number, (a, b) in enumerate(pairs)
    ]


def curves(names: list[str]) -> list[dict[str, Any]]:
    random = np.random.default_rng(5)
    return [
        {
            "model": name,
            "epoch": epoch,
            "loss": six(1.1 * np.exp(-epoch / (6 + number)) + 0.05),
            "accuracy": six(1 - 0.6 * np.exp(-epoch / (6 + number))),
            "val_loss": six(1.1 * np.exp(-epoch / (6 + number)) + 0.14 + 0.05 * random.random()),
            "val_accuracy": six(0.96 - 0.6 * np.exp(-epoch / (6 + number)) - 0.03 * random.random()),
        }
        for number, name in enumerate(names)
        for epoch in range(1, 31)
    ]


def description() -> dict[str, Any]:
    """Return what a model.json says but for its evaluation."""
    return {
        "name": "cnn1",
        "classes": list(CLASSES),
        "image_side": 128,
        "initialisation": "random",
        "parameters": 209651,
        "gflop_per_image": 0.0781,
        "training": {"epochs": 40, "best_epoch": 28},
        "data": data() | {"images_per_class": dict.fromkeys(CLASSES, 1225), "images_per_split": {"test": 735}},
        "environment": {"python": "3.11.7"},
        "network": {"sha256": "9de6cd8ac371" + "0" * 52},
    }


def pictures(whole: Report) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """Return a grey disc and a coloured one for every error and example."""
    grey, colour = (_disc(mode) for mode in ("L", "RGB"))
    return {(one.name, shown.file): (grey, colour) for one in whole.models for shown in (*one.errors, *one.examples)}


def _disc(mode: str) -> bytes:
    distance = np.hypot(*np.mgrid[-1:1:128j, -1:1:128j])
    values = (255 * np.clip(1 - distance, 0, 1)).astype(np.uint8)
    picture = values if mode == "L" else np.stack([values, values // 2, 255 - values], axis=-1)
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
