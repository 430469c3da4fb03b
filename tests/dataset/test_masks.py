import numpy as np
import pytest
from PIL import Image

from cxr.dataset.masks import find_masks, read_masks
from cxr.dataset.release import read_release
from cxr.errors import DataError


@pytest.fixture
def release(tmp_path):
    """Give two COVID images, the first with a mask of its left half, and one Normal image in the class folder."""
    for folder in ("COVID/images", "COVID/masks", "Normal/masks"):
        (tmp_path / folder).mkdir(parents=True)
    half = np.zeros((256, 256), np.uint8)
    half[:, :128] = 255
    for file in ("COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "Normal/Normal-1.jpg"):
        Image.new("L", (299, 299), 90).save(tmp_path / file)
    Image.fromarray(half).save(tmp_path / "COVID/masks/COVID-1.png")
    Image.fromarray(half.T).convert("RGB").save(tmp_path / "Normal/masks/Normal-1.png")
    return tmp_path


FILES = ["COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "Normal/Normal-1.jpg"]


def test_masks_are_found_beside_their_images_and_resized_to_the_plane(release):
    table = find_masks(read_release(release), FILES)
    assert table["mask"].tolist() == ["COVID/masks/COVID-1.png", "", "Normal/masks/Normal-1.png"]
    masks = read_masks(release, table["mask"].tolist(), 32)
    assert (masks.shape, masks.dtype) == ((3, 32, 32), np.uint8)
    assert set(np.unique(masks)) == {0, 255}
    assert masks[0, :, :16].all()
    assert not masks[0, :, 16:].any()
    assert not masks[1].any()
    assert masks[2, :16].all()


def test_a_release_without_masks_gives_an_array_of_no_masks(release):
    for folder in ("COVID", "Normal"):
        for mask in (release / folder / "masks").iterdir():
            mask.unlink()
    table = find_masks(read_release(release), FILES)
    assert (table["mask"] == "").all()
    assert read_masks(release, table["mask"].tolist(), 32).shape == (0, 32, 32)


def test_a_broken_mask_is_named(release):
    (release / "COVID/masks/COVID-1.png").write_bytes(b"")
    table = find_masks(read_release(release), FILES)
    with pytest.raises(DataError, match=r"The mask COVID/masks/COVID-1\.png cannot be read \(empty_file"):
        read_masks(release, table["mask"].tolist(), 32)
