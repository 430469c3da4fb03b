import pytest
from ruamel.yaml import YAML

from cxr.dataset.balancing import BalanceParams
from cxr.dataset.preparing import PrepareParams
from cxr.dataset.splitting import SplitParams
from cxr.errors import ParamsError
from cxr.evaluation.screening_model import EvaluateParams
from cxr.models import NAMES, TRANSFER
from cxr.params import CommonParams, SeedParams, read_params, section, top_level
from tests.imports import ROOT

SHIPPED = ROOT / "params.yaml"


def test_the_shipped_params_are_valid_and_have_no_section_that_nobody_reads():
    from cxr.training.params import TrainParams, TransferParams

    values = read_params(SHIPPED)
    kinds = {"prepare": PrepareParams, "balance": BalanceParams, "split": SplitParams, "evaluate": EvaluateParams}
    kinds |= {f"train_{name}": TransferParams if name in TRANSFER else TrainParams for name in NAMES}
    for name, kind in kinds.items():
        section(values, name, kind)
    shared = top_level(values, CommonParams)
    assert set(values) == set(kinds) | set(CommonParams.model_fields)
    assert all(values[f"train_{name}"]["side"] <= shared.image.side for name in NAMES)


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nrate: 1e-4\n")
    assert read_params(path)["rate"] == YAML(typ="safe").load("1e-4") == 0.0001


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("split: {test: 0.9}", "params.yaml: split.test: input should be less than or equal to 0.5, got 0.9"),
        ("split: {tset: 0.2}", "split.tset: extra inputs are not permitted, got 0.2. Known keys: test, validation"),
        ("split: {test: '0.2'}", "split.test: input should be a valid number, got '0.2'"),
        ("other: 1", "params.yaml has no section 'split'; expected one with test, validation"),
    ],
)
def test_a_wrong_value_is_named_with_section_and_key(text, sentence):
    with pytest.raises(ParamsError) as error:
        section(YAML(typ="safe").load(text), "split", SplitParams)
    assert sentence in str(error.value)


def test_a_stage_does_not_read_top_level_values_it_does_not_name():
    assert top_level({"seed": 3, "runtime": "broken"}, SeedParams).seed == 3


def test_an_absent_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run in the project's folder"):
        read_params(tmp_path / "params.yaml")


def test_text_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1")
    with pytest.raises(ParamsError, match="is not YAML"):
        read_params(path)


def test_the_page_of_params_follows_from_the_code():
    from tests.params_page import render

    assert (ROOT / "docs/params.md").read_text(encoding="utf-8") == render()
