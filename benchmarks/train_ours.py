"""Decode once and train, by the functions that `prepare` and the train stage call; train.py measures it.

    python train_ours.py NETWORK DATA WEIGHTS EPOCHS WORK --side SIDE [--strength STRENGTH]

WORK is the folder of what is kept between calls: planes and table, as DVC keeps them, and the features of a frozen
backbone. STRENGTH is the inverse of another penalty of the head, which is fitted at once, whatever EPOCHS says.
"""

import argparse
from dataclasses import replace
from importlib import import_module
from pathlib import Path

PLANES, TABLE = "images.npy", "split.csv"


def prepare(data, values, work):
    """Decode the files once, look for duplicates, and write array and table."""
    from cxr.core.manifest import write_images, write_table
    from cxr.core.params import DataParams, section, top_level
    from cxr.dataset.decoding import decode_release
    from cxr.dataset.prepare import PrepareParams, prepare_table
    from cxr.dataset.release import chosen_classes, read_release

    shared, own = top_level(values, DataParams), section(values, "prepare", PrepareParams)
    work.mkdir(parents=True, exist_ok=True)
    images = chosen_classes(read_release(data / "train"), shared.classes, ())
    validation = chosen_classes(read_release(data / "validation"), shared.classes, ())
    parts = {"train": images, "validation": validation}
    files = {
        label: [Path(part) / path for part, found in parts.items() for path in found[label]] for label in shared.classes
    }
    decoded = decode_release(data, files, [shared.image.small], work)
    prepared = prepare_table(decoded, {}, {}, own)
    splits = [file.partition("/")[0] for file in prepared.table["file"]]
    write_images(work / PLANES, prepared.images)
    write_table(work / TABLE, prepared.table.assign(split=splits))


def recipe_of(values, network, side, epochs, strength):
    """Return the recipe of params.yaml with as many epochs as the notebook has, and no early stopping."""
    from cxr.core.params import section
    from cxr.models import TransferParams, architecture

    kind = architecture(network).params
    recipe = values[f"train_{network}"] | {"side": side, "epochs": epochs, "patience": epochs}
    if kind is not TransferParams:
        return section({"it": recipe}, "it", kind)
    head = recipe.get("head", {}) | ({"strength": strength} if strength else {})
    fine_tune = recipe.get("fine_tune", {}) | {"epochs": 0}
    return section({"it": recipe | {"weights": "imagenet", "head": head, "fine_tune": fine_tune}}, "it", kind)


def train(options):
    """Return the best validation accuracy."""
    from cxr.core.manifest import read_images, read_table
    from cxr.core.params import CommonParams, read_params, top_level
    from cxr.models import PublishedWeights, architecture, md5_of
    from cxr.training.train import train_network

    values = read_params(Path(__file__).resolve().parent.parent / "params.yaml")
    network = architecture(options.network)
    if network.published:  # drawn weights are not the published ones, whose MD5 is checked
        drawn = PublishedWeights(options.weights.name, md5_of(options.weights))
        import_module(f"cxr.models.{options.network}").ARCHITECTURE = replace(network, published=drawn)
    if not (options.work / TABLE).exists():
        prepare(options.data, values, options.work)
    trained = train_network(
        options.network,
        read_table(options.work / TABLE),
        read_images(options.work / PLANES),
        top_level(values, CommonParams),
        recipe_of(values, options.network, options.side, options.epochs, options.strength),
        options.weights.parent,
        cache=options.work / "cache",
    )
    if len(trained.history) != options.epochs and "whole" in trained.description["training"]["phases"]:
        raise SystemExit(f"{len(trained.history)} epochs were trained, and the notebook trains {options.epochs}")
    return max(epoch["val_accuracy"] for epoch in trained.history)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("epochs", type=int)
    parser.add_argument("work", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--strength", type=float)
    options = parser.parse_args()

    from train_clock import Clock

    import cxr  # noqa: F401  TensorFlow: the clock starts when it is there

    clock = Clock()
    clock.say(train(options))


if __name__ == "__main__":
    main()
