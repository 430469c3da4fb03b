"""On 300 real radiographs; skipped where ../shared/data is absent."""

from pathlib import PurePosixPath

import numpy as np
import pytest

from cxr.core.manifest import file_numbers
from cxr.dataset.appearance import appearance_features
from cxr.dataset.audits.sources import block_of, find_change_points
from cxr.imaging.decode import read_plane
from tests.imports import ROOT
from tests.tables import manifest

NORMAL = ROOT.parent / "shared/data/covid19-radiography-subset/Normal/images"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not NORMAL.is_dir(), reason="../shared/data is not on this machine")]


def test_the_normal_class_changes_its_look_between_1341_and_1410():
    paths = sorted(NORMAL.iterdir(), key=lambda path: int(path.stem.split("-")[1]))
    below = [path for path in paths if int(path.stem.split("-")[1]) <= 1341][-150:]
    above = [path for path in paths if int(path.stem.split("-")[1]) > 1341][:150]
    table = manifest({"normal": 300})
    table["file"] = [f"Normal/images/{PurePosixPath(path).name}" for path in (*above, *below)]
    planes = np.stack([read_plane(path, 128)[0] for path in (*above, *below)])
    changes = find_change_points(table, appearance_features(planes), np.arange(300), seed=7)
    assert changes["normal"].found
    assert 1341 <= changes["normal"].number <= 1410
    assert changes["normal"].auc > 0.9
    lower = block_of(table, changes) == "lower"
    assert np.array_equal(lower, file_numbers(table["file"]) <= changes["normal"].number)
