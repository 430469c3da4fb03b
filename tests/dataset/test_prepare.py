import concurrent.futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.core import process
from cxr.core.errors import DataError, ParamsError
from cxr.core.manifest import COLUMNS, data_fingerprint
from cxr.core.process import worker_processes
from cxr.dataset import decoding
from cxr.dataset import release as releases
from cxr.dataset.audits import formats
from cxr.dataset.audits.formats import read_headers
from cxr.dataset.decoding import decode_release
from cxr.dataset.prepare import (
    DuplicateParams,
    OutOfScopeParams,
    PrepareParams,
    check_count,
    describe_data,
    films_of_no_class,
    prepare_table,
)
from cxr.dataset.release import chosen_classes, find_masks, read_masks, read_release
from cxr.imaging.decode import read_plane

DUPLICATES = DuplicateParams(max_distance=51, min_correlation=0.97)
STOP = PrepareParams(expected_files=1, unreadable="stop", duplicates=DUPLICATES)
DROP = PrepareParams(expected_files=1, unreadable="drop", duplicates=DUPLICATES)


@pytest.fixture
def release(tmp_path):
    """Give two classes of four noise pictures, a mask, a note, and one exact copy saved as 24 bit."""
    rng = np.random.default_rng(0)
    for folder in ("COVID", "Viral Pneumonia"):
        images = tmp_path / folder / "images"
        images.mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (60, 50), np.uint8)).save(images / f"{folder}-{number}.png")
    Image.open(tmp_path / "COVID/images/COVID-1.png").convert("RGB").save(tmp_path / "COVID/images/COVID-9.png")
    (tmp_path / "COVID/masks").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "COVID/masks/COVID-1.png")
    (tmp_path / "COVID/notes.txt").write_text("hello")
    return tmp_path


def prepared(root, params=STOP, side=32):
    return prepare_table(decoded(root, [side]), {}, {}, params)


def decoded(root, sides, scratch=None, cores=1):
    images = chosen_classes(read_release(root), ("covid", "viral_pneumonia"), ())
    scratch = scratch or root.parent / f"{root.name}-planes"
    scratch.mkdir(exist_ok=True)
    with worker_processes(sum(map(len, images.values())), cores) as each:
        return decode_release(root, images, sides, scratch, each=each)


def test_rows_and_planes_agree_with_the_files(release):
    result = prepared(release)
    assert result.images.shape == (9, 32, 32)
    for row in result.table.itertuples():
        plane, _ = read_plane(release / row.file, 32)
        assert np.array_equal(result.images[row.index], plane)


def test_masks_and_other_files_are_no_images(release):
    found = read_release(release)
    assert found.masks == 1
    assert found.others == [Path("COVID/notes.txt")]


def test_a_copy_of_another_depth_is_the_same_picture(release):
    table = prepared(release).table.set_index("file")
    one, copy = table.loc["COVID/images/COVID-1.png"], table.loc["COVID/images/COVID-9.png"]
    assert one["pixels_sha256"] == copy["pixels_sha256"]
    assert one["duplicate_group"] == copy["duplicate_group"]
    assert (one["mode"], copy["mode"]) == ("L", "RGB")
    assert table["duplicate_group"].nunique() == 8


def test_an_unreadable_file_stops_and_is_named(release):
    (release / "COVID/images/COVID-2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 image files cannot be used: COVID/images/COVID-2.png \(empty_file"):
        prepared(release)


def test_an_unreadable_file_is_dropped_on_request_and_counted(release):
    (release / "COVID/images/COVID-2.png").write_bytes(b"")
    result = prepared(release, DROP)
    assert len(result.table) == len(result.images) == 8
    assert result.table["index"].tolist() == list(range(8))
    report = describe_data(result.table, result.unreadable, {"lung_opacity": 3}, masks=1)
    assert list(report["unreadable"]) == ["COVID/images/COVID-2.png"]
    assert report["images_per_class"] == {"covid": 4, "viral_pneumonia": 4}
    assert report["duplicates"]["exact_groups"] == 1


def test_a_half_finished_pull_stops_with_the_remedy():
    with pytest.raises(DataError, match=r"has 2 images .* says 3.*git checkout data.dvc && dvc pull data"):
        check_count({"covid": [Path("a"), Path("b")]}, expected=3)


def test_an_unknown_folder_is_refused_rather_than_ignored(release):
    (release / "Tuberculosis").mkdir()
    with pytest.raises(DataError, match=r"neither in params\.yaml 'classes' nor in 'prepare.discard': tuberculosis"):
        chosen_classes(read_release(release), ("covid", "viral_pneumonia"), ())


def test_a_missing_class_is_named(release):
    with pytest.raises(DataError, match="has no images for normal"):
        chosen_classes(read_release(release), ("covid", "viral_pneumonia", "normal"), ())


def test_the_fingerprint_follows_the_pixels_and_not_the_order(release):
    table = prepared(release).table
    assert data_fingerprint(table) == data_fingerprint(table.sample(frac=1, random_state=1))
    changed = table.assign(pixels_sha256=["0" * 64, *table["pixels_sha256"][1:]])
    assert data_fingerprint(changed) != data_fingerprint(table)


def test_no_byte_depends_on_the_number_of_processes(release, tmp_path_factory, monkeypatch):
    (release / "COVID/images/COVID-2.png").write_bytes(b"")
    monkeypatch.setattr(process, "FEW", 1)
    monkeypatch.setattr(decoding, "CHUNK", 2)
    one, three = (decoded(release, [32, 48], tmp_path_factory.mktemp("planes"), cores) for cores in (1, 3))
    assert one.files == three.files
    for name in ("hashes", "looks"):
        assert np.array_equal(getattr(one, name), getattr(three, name))
    for side in (32, 48):
        assert one.planes[side].shape == (8, side, side)
        assert np.array_equal(one.planes[side], three.planes[side])


def test_headers_and_masks_do_not_depend_on_the_number_of_processes(release, tmp_path_factory, monkeypatch):
    for module in (formats, releases):
        monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(process, "FEW", 1)
    files = [f"COVID/images/COVID-{number}.png" for number in (0, 1, 2, 3, 9)]
    masks = find_masks(read_release(release), files)["mask"].tolist()
    found = []
    for cores in (1, 2):
        with worker_processes(len(files), cores) as each:
            planes = read_masks(release, masks, 16, tmp_path_factory.mktemp("planes"), each=each)
            found.append((read_headers(release, files, each=each), planes))
    (headers, planes), (others, other_planes) = found
    assert headers.equals(others)
    assert headers["file"].tolist() == files
    assert planes.shape == (5, 16, 16)
    assert np.array_equal(planes, other_planes)


def test_planes_of_a_side_are_those_that_it_would_have_alone(release, tmp_path_factory):
    picture = np.random.default_rng(1).integers(0, 256, (400, 420), np.uint8)
    Image.fromarray(picture).save(release / "COVID/images/COVID-7.jpg", quality=90)  # reduced for 48, not for 128
    both = decoded(release, [48, 128], tmp_path_factory.mktemp("planes"))
    for side in (48, 128):
        alone = decoded(release, [side], tmp_path_factory.mktemp("planes"))
        assert np.array_equal(both.planes[side], alone.planes[side])
    assert both.files == decoded(release, [48], tmp_path_factory.mktemp("planes")).files


def test_a_process_that_dies_is_a_sentence(release, monkeypatch):
    class Dying:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def map(self, *_):
            raise BrokenProcessPool

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(process, "FEW", 1)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Dying)
    with pytest.raises(DataError, match=r"a process that this one started has died.*run the same command again"):
        decoded(release, [32], cores=2)


def test_films_of_no_class_are_those_of_the_named_folders_and_never_a_class():
    images = {"normal": [Path("normal/1.png")], "tuberculosis": [Path("tuberculosis/1.png")]}
    params = OutOfScopeParams(labels=("tuberculosis", "nodule"))
    found = films_of_no_class(images, ("covid", "normal"), params)
    assert found == {"tuberculosis": [Path("tuberculosis/1.png")], "nodule": []}
    with pytest.raises(ParamsError, match="names normal, which is a class"):
        films_of_no_class(images, ("covid", "normal"), OutOfScopeParams(labels=("normal",)))


def test_a_release_without_any_has_an_empty_table(tmp_path):
    decoded = decode_release(tmp_path, {}, [32], tmp_path)
    assert prepare_table(decoded, {}, {}, STOP).table.columns.tolist() == COLUMNS
