"""What a fold's networks say of its test split, as rows of one table of answers."""

import pandas as pd

from cxr.dataset.describing import data_fingerprint
from cxr.errors import ModelError
from cxr.evaluation.outputs import run_network
from cxr.evaluation.stats.temperature import fit_temperature
from cxr.model_folder import ScreeningModel
from cxr.network import softmax
from cxr.planes import Plane

PROBABILITY = "probability_"  # and the class
COLUMNS = ("network", "seed", "fold", "file", "patient", "duplicate_group", "label")
DIGITS = 9  # of a probability in the table


def ask(model: ScreeningModel, table: pd.DataFrame, images: Plane, seed: int, fold: int) -> pd.DataFrame:
    """Run an exported network over the test split of one fold.

    Probabilities are calibrated as `evaluate` does it: one temperature, fitted on the fold's own validation split.

    Args:
        model: Trained on the fold's train split.
        table: The fold's split table.
        images: uint8 (n, side, side), all of them.
        seed: That the fold was made and trained with.
        fold: Its number, from 0.

    Returns:
        One row a test image: COLUMNS, and `probability_<class>` in the order of the network's outputs.

    Raises:
        DataError: A split has no rows.
        ModelError: The network was trained on another split, or for planes of another side.
    """
    if model.description["data"]["sha256"] != data_fingerprint(table):
        raise ModelError(
            f"{model.folder} was trained on another split than that of fold {fold} with seed {seed}; "
            "let nothing else change the workspace meanwhile, and start again"
        )
    asked = table[table["split"] != "train"]
    outputs = run_network(model, asked, images)
    validation, test = outputs.of("validation"), outputs.of("test")
    probabilities = softmax(test.logits / fit_temperature(validation.logits, validation.truth))
    rows = asked.loc[asked["split"] == "test", ["file", "patient", "duplicate_group", "label"]].reset_index(drop=True)
    rows = rows.assign(network=str(model.description["name"]), seed=seed, fold=fold)[list(COLUMNS)]
    return rows.assign(
        **{f"{PROBABILITY}{label}": probabilities[:, i].round(DIGITS) for i, label in enumerate(model.classes)}
    )
