"""Fit the last layer of a trained network anew, with films of hospitals that the layers before it did not learn from.

Expect: half a minute, most of it for computing features; see docs/recipes.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.console import user_errors

PARAMS = [Path("params.yaml"), Path("release/params.yaml")]


def main(
    trained: Annotated[Path, typer.Argument(help="Folder of the trained network.", metavar="NETWORK")],
    prepared: Annotated[Path, typer.Option(help="Folder written by prepare.")] = Path("work/prepared"),
    split: Annotated[Path, typer.Option(help="Table written by split.")] = Path("work/split.csv"),
    output: Annotated[Path, typer.Option(help="Folder for the network.")] = Path("release/models/last_layer"),
    answers: Annotated[Path, typer.Option(help="Answers without each hospital.")] = Path("release/last_layer.csv"),
    params: Annotated[list[Path], typer.Option(help="Parameters: last_layer is read.")] = PARAMS,
) -> None:
    """Fit the last layer, ask it about each hospital without it, and write what decisions can be fitted on."""
    from cxr.core.files import read_json
    from cxr.core.image import pixels_digest
    from cxr.core.manifest import data_summary, network_planes, read_plane_rule, read_table, write_table
    from cxr.core.params import CommonParams, read_params, section, top_level
    from cxr.core.processor import pin_instructions

    values = read_params(*params)
    shared = top_level(values, CommonParams)
    pin_instructions(shared.runtime.instructions)  # before TensorFlow is loaded

    import pandas as pd

    from cxr.inference.network import CALIBRATION_FILE, DESCRIPTION_FILE
    from cxr.models import architecture
    from cxr.training import last_layer
    from cxr.training.devices import make_reproducible
    from cxr.training.export import gflop
    from cxr.training.train import AGREEMENT_PLANES, HISTORY_FILE, WEIGHTS_FILE, Trained, write_trained

    own = section(values, "last_layer", last_layer.LastLayerParams)
    network = architecture(own.network)
    recipe = section(values, f"train_{own.network}", network.params)
    table, rule = read_table(split), read_plane_rule(prepared)
    films_of = last_layer.films_table(table, read_table(prepared / "manifest.csv"), own, shared.classes)
    planes = network_planes(prepared, own.network, recipe.side)

    make_reproducible(shared.runtime, shared.seed)
    before = network.build(planes.shape[1], len(shared.classes), recipe)
    before.load_weights(trained / WEIGHTS_FILE)
    model = last_layer.with_squares(before, recipe.dropout)
    own_planes = planes[films_of["index"].to_numpy()]
    named = films_of.assign(plane_sha256=[pixels_digest(plane) for plane in own_planes])
    features = last_layer.pooled(model, own_planes)
    films = last_layer.Films(named, features, shared.classes, last_layer.layer_before(before))
    last_layer.refitted(model, films, own)

    described = read_json(trained / DESCRIPTION_FILE)
    changed = {
        "name": last_layer.NAME,
        "parameters": model.count_params(),
        "gflop_per_image": gflop(model),
        "params": described["params"] | {"last_layer": own.model_dump(mode="json")},
        "data": data_summary(table),
        "elsewhere": last_layer.elsewhere(films_of),
    }
    epochs = pd.read_csv(trained / HISTORY_FILE).to_dict("records")
    history = [{str(name): value for name, value in epoch.items()} for epoch in epochs]
    probe = planes[table.loc[table["split"] == "validation", "index"].to_numpy()[:AGREEMENT_PLANES]]
    write_trained(output, Trained(model, history, described | changed, probe), rule, own.stored)
    write_table(output / CALIBRATION_FILE, last_layer.calibration(films, own))
    write_table(answers, last_layer.leave_hospitals_out(films, own))


if __name__ == "__main__":
    with user_errors():
        typer.run(main)
