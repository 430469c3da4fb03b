"""What one network said of every image of the split table, saved once; and decisions applied to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError
from cxr.core.files import whole_file
from cxr.core.image import Plane
from cxr.inference.decisions import Decision, Decisions
from cxr.inference.gate import Judged, Texts
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import MEMBERS

if TYPE_CHECKING:
    import pandas as pd


NO_CLASS = -1
BLOCK = 256  # planes at a time: feature maps are dropped, and memory does not grow with n


@dataclass(frozen=True, slots=True)
class SavedOutputs:
    """One network's outputs for n images, in the order of the split table.

    Attributes:
        name: The network.
        classes: In the order of the logits.
        files: str (n,), paths relative to data/.
        index: int64 (n,), row of images.npy.
        truth: int64 (n,), class numbers; -1 for films of no class.
        split: str (n,), train, validation or test.
        group: int64 (n,), equal for images of one patient or one picture.
        source: str (n,), as the release says; empty where unknown.
        logits: float32 (n, classes), uncalibrated.
        features: float32 (n, d), the pooled last feature map.
        members: float32 (n, members, classes), the logits of each member of an ensemble; None for a single network.
    """

    name: str
    classes: tuple[str, ...]
    files: Texts
    index: NDArray[np.int64]
    truth: NDArray[np.int64]
    split: Texts
    group: NDArray[np.int64]
    source: Texts
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    members: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the images that `chosen`, bool (n,), marks."""
        return replace(self, **{name: array[chosen] for name, array in self.arrays.items()})

    @property
    def arrays(self) -> dict[str, Any]:
        """What there is for each image, by name."""
        return {name: array for name in PER_IMAGE if (array := getattr(self, name)) is not None}

    def of(self, split: str) -> Self:
        """Return the images of one split. Raises DataError where it has none."""
        chosen = self.split == split
        if not chosen.any():
            raise DataError(f"the split table has no rows for {split}; run: dvc repro split")
        return self.where(chosen)


PER_IMAGE = ("files", "index", "truth", "split", "group", "source", "logits", "features", MEMBERS)


def run_network(
    model: ScreeningModel, table: "pd.DataFrame", images: Plane, *, of_classes: bool = True
) -> SavedOutputs:
    """Run an exported network over every row of a split table, or of one of films of no class.

    Args:
        model: Loaded from its folder.
        table: A split table.
        images: uint8 (n, side, side).
        of_classes: Whether every label is a class; else none is.

    Raises:
        ModelError: The network was made for planes of another side.
    """
    if images.shape[1] != model.plane_side:
        raise ModelError(
            f"{model.folder} takes planes of {model.plane_side} pixels, work/prepared has {images.shape[1]}; "
            f"run: dvc repro"
        )
    index = table["index"].to_numpy(np.int64)
    blocks = [
        model.network.predict(np.ascontiguousarray(images[index[start : start + BLOCK]]))
        for start in range(0, len(index), BLOCK)
    ]
    numbers = {label: number for number, label in enumerate(model.classes)}
    return SavedOutputs(
        name=str(model.description["name"]),
        classes=model.classes,
        files=table["file"].to_numpy(str),
        index=index,
        truth=np.array([numbers[label] if of_classes else NO_CLASS for label in table["label"]], np.int64),
        split=table["split"].to_numpy(str),
        group=table["group"].to_numpy(np.int64),
        source=table["source"].to_numpy(str),
        logits=np.concatenate([block.logits for block in blocks]),
        features=np.concatenate([block.features for block in blocks]),
        members=_joined([block.members for block in blocks]),
    )


def _joined(blocks: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    known = [block for block in blocks if block is not None]
    return np.concatenate(known) if known else None


def write_outputs(path: Path, outputs: SavedOutputs) -> None:
    """Write as .npz, whole or not at all, an array of its name for each attribute; equal outputs give equal bytes.

    Not by `np.savez_compressed`: from Python 3.11.4 on it writes other headers for the same arrays.
    """
    arrays: dict[str, NDArray[Any]] = {"name": np.array(outputs.name), "classes": np.array(outputs.classes)}
    arrays |= outputs.arrays
    with whole_file(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            member = ZipInfo(f"{name}.npy")  # of a fixed date
            member.compress_type, member.create_system = ZIP_DEFLATED, 3
            archive.writestr(member, _npy(array))


def _npy(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def apply_decisions(outputs: SavedOutputs, decisions: Decisions, judged: Judged) -> list[Decision | None]:
    """Decide about n images at the operating point that is used where none is asked for.

    Args:
        outputs: What the network said of them; members that disagree refer.
        decisions: Fitted on validation.
        judged: What the gate says of the same images, in their order.

    Returns:
        None where the gate rejects.
    """
    decided = decisions.decide(
        decisions.probabilities(outputs.logits),
        decisions.default_point,
        flags=judged.raised,
        disagreeing=decisions.disagreeing(outputs.members),
    )
    return [None if rejected else one for rejected, one in zip(judged.rejected, decided, strict=True)]


def apply_sets_alone(outputs: SavedOutputs, decisions: Decisions) -> list[Decision | None]:
    """Decide as without a gate and without a word of the members, for comparison."""
    return list(decisions.decide(decisions.probabilities(outputs.logits), decisions.default_point))
