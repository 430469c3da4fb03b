"""What evaluation reads besides the networks: data, masks, refits, and what earlier stages found."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.dataset.masks import MASKS_FILE
from cxr.errors import DataError
from cxr.files import JsonObject, read_json
from cxr.manifest import IMAGES_FILE, read_images, read_table
from cxr.planes import Plane


@dataclass(frozen=True, slots=True)
class Material:
    """Inputs of an evaluation.

    Attributes:
        table: The split table, m rows.
        images: uint8 (n, side, side), see its column `index`.
        masks: bool (m, side, side), all False where an image has none; None where the release has no lung masks.
        refits: Answers of cnn1 trained without each source.
        data_report: Content of reports/data.json.
        split_report: Content of reports/split.json.
    """

    table: pd.DataFrame
    images: Plane
    masks: NDArray[np.bool_] | None
    refits: pd.DataFrame
    data_report: JsonObject
    split_report: JsonObject

    @property
    def sides(self) -> NDArray[np.int64]:
        """Longer side of each file in pixels, int64 (m,)."""
        return self.table[["width", "height"]].max(axis=1).to_numpy(np.int64)

    @property
    def earlier_audits(self) -> list[JsonObject]:
        """Records of prepare and split, each with its `stage`."""
        reports = {"prepare": self.data_report, "split": self.split_report}
        return [{"stage": stage} | record for stage, report in reports.items() for record in report["audits"]]


def read_material(prepared: Path, split: Path, refits: Path, reports: Path) -> Material:
    """Read everything. Raises DataError where something is absent or was not written by this version."""
    table, images = read_table(split), read_images(prepared / IMAGES_FILE)
    masks = read_images(prepared / MASKS_FILE)
    chosen = masks[table["index"].to_numpy()] > 0 if len(masks) else None
    try:
        found = pd.read_csv(refits, keep_default_na=False)
        data_report, split_report = (read_json(reports / name) for name in ("data.json", "split.json"))
    except (OSError, ValueError) as error:
        raise DataError(f"What earlier stages wrote cannot be read ({error}); run: dvc repro") from error
    return Material(table, images, chosen, found, data_report, split_report)
