"""A trained network with its saved outputs and the decisions fitted on validation: what there is to choose from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from cxr.decisions import Decision, Decisions, parse_decisions
from cxr.errors import ModelError
from cxr.evaluation.applying import apply_decisions
from cxr.evaluation.deciding import decide
from cxr.evaluation.gating import Judged, unjudged
from cxr.evaluation.metrics import Probabilities
from cxr.evaluation.outputs import SavedOutputs, run_network
from cxr.evaluation.params import EvaluateParams
from cxr.files import JsonObject
from cxr.model_folder import ScreeningModel, load_model
from cxr.network import softmax
from cxr.planes import Plane

HISTORY_FILE = "history.csv"


@dataclass(frozen=True)
class Candidate:
    """One trained network.

    Attributes:
        model: Loaded from its folder.
        history: Its epochs, with the columns epoch, loss, accuracy, val_loss, val_accuracy; None for an ensemble.
        outputs: What it said of every image of the split table.
        decided: The content of its decisions.json, fitted on validation.
        judged: What the gate says of the same images; nothing where there is no gate.
    """

    model: ScreeningModel
    history: pd.DataFrame | None
    outputs: SavedOutputs
    decided: JsonObject
    judged: Judged | None = None

    @property
    def name(self) -> str:
        """The network's name."""
        return self.outputs.name

    @cached_property
    def decisions(self) -> Decisions:
        """The decisions, ready to apply."""
        return parse_decisions(self.decided)

    @cached_property
    def test(self) -> SavedOutputs:
        """Its outputs on the test split."""
        return self.outputs.of("test")

    @cached_property
    def probabilities(self) -> Probabilities:
        """Calibrated, of the test split, float64 (n, classes)."""
        return self.decisions.probabilities(self.test.logits)

    @cached_property
    def test_judged(self) -> Judged:
        """What the gate says of the test split."""
        judged = self.judged or unjudged(len(self.outputs))
        return judged.where(self.outputs.split == "test")

    @cached_property
    def test_decided(self) -> list[Decision | None]:
        """What is decided about the test split; None where the gate rejects."""
        return apply_decisions(self.test, self.decisions, self.test_judged)

    @cached_property
    def validation_log_loss(self) -> float:
        """Of the uncalibrated probabilities on the validation split; decides which network screens."""
        validation = self.outputs.of("validation")
        labels = np.arange(len(validation.classes))
        return round(float(log_loss(validation.truth, softmax(validation.logits), labels=labels)), 6)


def read_candidate(
    folder: Path, table: pd.DataFrame, images: Plane, params: EvaluateParams, judged: Judged | None = None
) -> Candidate:
    """Load the network in `folder`, run it over the split table and fit its decisions on validation.

    Raises:
        ModelError: The folder is not one that a train stage or `ensemble` wrote, or was made for other planes.
        DataError: A split is empty.
    """
    model = load_model(folder)
    history = None if model.members else _read_history(folder)
    outputs = run_network(model, table, images)
    return Candidate(model, history, outputs, decide(model, outputs, table, images, params), judged)


def _read_history(folder: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(folder / HISTORY_FILE)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no {HISTORY_FILE} that can be read ({error}); train it again: dvc repro"
        ) from error
