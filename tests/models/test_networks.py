"""Networks are found by the sections of params.yaml and by their modules."""

import pytest

from cxr.core.errors import ParamsError
from cxr.models import TrainParams, architecture, networks
from tests.networks import NAMES


def test_the_sections_of_params_yaml_say_which_networks_there_are_and_in_which_order():
    assert networks(
        {"seed": 7, "train_vgg16": {}, "train_gate": {}, "train_lungs": {}, "train_cnn1": {}, "split": {}}
    ) == (
        "vgg16",
        "cnn1",
    )


def test_a_section_of_no_network_is_refused():
    with pytest.raises(ParamsError, match=r"no stage reads 'train_cnn5': there is no network in cxr/models/cnn5\.py"):
        networks({"train_cnn1": {}, "train_cnn5": {}})


@pytest.mark.parametrize("name", NAMES)
def test_a_module_says_what_its_recipe_may_be(name):
    found = architecture(name)
    assert issubclass(found.params, TrainParams)
    # What can start from published weights has them, and nothing else.
    assert ("weights" in found.params.model_fields) == (found.published is not None)
