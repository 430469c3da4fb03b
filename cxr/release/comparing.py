"""A new model beside the old one, on the test split of the new one's run."""

from pathlib import Path

import numpy as np

from cxr.files import JsonObject
from cxr.manifest import IMAGES_FILE, read_images, read_table
from cxr.model_folder import ScreeningModel
from cxr.release.differences import differences
from cxr.release.half import half_precision
from cxr.release.pairing import pair
from cxr.release.speed import time_beside
from cxr.release.stated import stated
from cxr.release.verdict import judge

PREPARED, SPLIT = Path("work/prepared"), Path("work/split.csv")


def compare(new: ScreeningModel, old: ScreeningModel, run: Path, seed: int = 0) -> JsonObject:
    """Measure both models on what the new one was not trained on, and judge the new one.

    Args:
        new: Made by the run.
        old: The one that ships.
        run: Folder of the project in which the new model was made, with work/prepared and work/split.csv.
        seed: Of the bootstrap.

    Returns:
        `new` and `old` (identity, see `stated`), `target`, `images`, `known_to_old`, `old_may_know`, `figures`,
        `speed`, `half_precision`, `conditions` and `not_worse`.

    Raises:
        DataError: The run is not there, or has nothing to compare on.
        ModelError: The models cannot be compared.
    """
    table, images = read_table(run / SPLIT), read_images(run / PREPARED / IMAGES_FILE)
    both = pair(new, old, table, images)
    target = new.decisions.target if new.decisions else new.classes[0]
    planes = {
        split: np.ascontiguousarray(images[table.loc[table["split"] == split, "index"].to_numpy(np.int64)])
        for split in ("validation", "test")
    }
    report: JsonObject = {
        "new": {"model": new.identity} | stated(new),
        "old": {"model": old.identity} | stated(old),
        "target": target,
        "images": len(both.new),
        "known_to_old": both.known_to_old,
        "old_may_know": both.old_may_know,
        "figures": differences(both, target, seed),
        "speed": time_beside(new.network, old.network, planes["test"]),
        "half_precision": half_precision(new, planes["validation"]),
    }
    conditions = judge(report, target)
    return report | {"conditions": conditions, "not_worse": all(line["holds"] for line in conditions)}
