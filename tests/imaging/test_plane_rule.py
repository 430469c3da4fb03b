"""The rule of the planes has a name, and whoever changes what it does has to give it another one."""

import json
import shutil

import pytest
from PIL import Image

from cxr.core import image
from cxr.core.errors import ModelError
from cxr.imaging import decode
from cxr.inference.model_folder import load_model, packaged_folder

TRIANGLE_1 = "3fc881cf05031aeaaebadf519edff40451589229548f5d91c1c07b6a9f8eeb60"


@pytest.fixture(autouse=True)
def _anew():
    decode.plane_rule.cache_clear()
    yield
    decode.plane_rule.cache_clear()


def nearest(luminance, side):
    return image.np.asarray(Image.fromarray(luminance).resize((side, side), Image.Resampling.BOX))


def test_triangle_1_is_what_it_was():
    found = decode.plane_rule()
    assert (found.rule, found.fingerprint) == ("triangle-1", TRIANGLE_1), "another rule needs another name"


def test_the_packaged_model_names_it():
    stated = json.loads((packaged_folder() / "model.json").read_text())["plane"]
    assert stated == {"rule": "triangle-1", "fingerprint": TRIANGLE_1}


def test_a_model_is_refused_where_the_resize_is_another(monkeypatch):
    monkeypatch.setattr(decode, "to_plane", nearest)
    with pytest.raises(ModelError) as error:
        load_model(packaged_folder())
    assert f"made for planes by the rule triangle-1 ({TRIANGLE_1[:12]}...)" in str(error.value)
    assert "its answers would be others" in str(error.value)
    assert "train it again (dvc repro)" in str(error.value)


def test_a_model_is_refused_where_deep_pixels_are_scaled_otherwise(monkeypatch):
    scaled = decode.luminance_of

    def coarser(picture, steps):
        luminance, bits = scaled(picture, steps)
        return (luminance // 2 * 2 if bits > 8 else luminance), bits

    monkeypatch.setattr(decode, "luminance_of", coarser)
    with pytest.raises(ModelError, match="its answers would be others"):
        load_model(packaged_folder())


@pytest.mark.parametrize(
    ("plane", "sentence"),
    [
        (None, "does not say by which rule its planes are made"),
        ({"rule": "triangle-1"}, "has no rule and fingerprint"),
        ({"rule": "triangle-0", "fingerprint": TRIANGLE_1}, "by the rule triangle-0"),
        ("triangle-1", "has no rule and fingerprint"),
    ],
)
def test_a_model_that_names_no_rule_or_another_is_refused(plane, sentence, tmp_path):
    folder = shutil.copytree(packaged_folder(), tmp_path / "model")
    description = json.loads((folder / "model.json").read_text())
    del description["plane"]
    (folder / "model.json").write_text(json.dumps(description | ({"plane": plane} if plane else {})))
    with pytest.raises(ModelError, match=sentence):
        load_model(folder)
