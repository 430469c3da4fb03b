import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.screening.paths import unescape
from cxr.validation.results import NO_ANSWER, parse_results
from tests.validation.tables import CLASSES, row, rows, unanswered


def test_a_table_is_read_with_and_without_answers():
    table = parse_results("t.csv", [*rows(3), unanswered("z.png", reason="truncated")])
    (network,) = table.networks
    assert table.paths == ("covid/0.png", "normal/1.png", "viral_pneumonia/2.png", "z.png")
    assert (network.name, network.classes) == ("cnn1-0123456789ab", CLASSES)
    assert network.predicted[3] == NO_ANSWER
    assert network.probabilities[:3].sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert not network.probabilities[3].any()
    assert (table.statuses[3], table.reasons[3]) == ("error", "truncated")


def test_cells_of_paths_stand_for_the_files_names():
    assert parse_results("t.csv", [row(r"\x3d1\\2.png")], unescape).files == ("=1\\2.png",)


def test_each_network_has_its_own_columns():
    cells = row("a.png", 1, skill=9, prefix="vgg16_", model="vgg16-aa") | row("a.png", 0, skill=9)
    first, second = parse_results("t.csv", [cells]).networks
    assert (first.name, second.name) == ("vgg16-aa", "cnn1-0123456789ab")
    assert (first.predicted[0], second.predicted[0]) == (1, 0)


def test_an_older_table_without_decisions_is_read_too():
    table = [{k: v for k, v in one.items() if k not in ("decision", "in_training_set", "sha256")} for one in rows(3)]
    screened = parse_results("t.csv", table)
    assert screened.networks[0].decisions == ("", "", "")
    assert screened.networks[0].trained == ("", "", "")


def test_of_equal_probabilities_the_predicted_class_stays_the_prediction():
    tied = {"prediction": "normal", "probability_covid": "0.400000", "probability_normal": "0.400000"}
    cells = row("a.png") | tied | {"probability_viral_pneumonia": "0.200000"}
    (network,) = parse_results("t.csv", [cells]).networks
    assert np.argmax(network.probabilities[0]) == network.predicted[0] == 1
    assert network.probabilities[0] == pytest.approx([0.4, 0.4, 0.2], abs=1e-8)


def test_decimal_commas_are_numbers():
    (plain,) = parse_results("t.csv", [row("a.png")]).networks
    (comma,) = parse_results("t.csv", [{k: v.replace(".", ",") for k, v in row("a.png").items()}]).networks
    assert comma.probabilities.tolist() == plain.probabilities.tolist()


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"prediction": "tuberculosis"}, r"\(there is no column probability_tuberculosis\)"),
        ({"probability_covid": "99 %"}, r"\('99 %' is no number\)"),
        ({"probability_covid": "0.900000"}, "sum to"),
        ({"probability_covid": "nan"}, "from 0 to 1"),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(cells, sentence):
    with pytest.raises(DataError, match=sentence):
        parse_results("t.csv", [row("a.png", 1, skill=5) | cells])


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (
            {"decision": "maybe"},
            r"t\.csv, normal/1\.png: decision is 'maybe'; expected covid_suspected, .* or an empty",
        ),
        ({"decision": "Refer"}, r"normal/1\.png: decision is 'Refer'"),
        ({"decision": "flu_suspected"}, r"normal/1\.png: decision is 'flu_suspected'"),
        (
            {"decision": "normal_suspected"},
            r"decision with covid_suspected \(covid/0\.png\) and normal_suspected \(normal/1\.png\); .* one class",
        ),
        ({"in_training_set": "perhaps"}, r"normal/1\.png: in_training_set is 'perhaps'; expected yes, no or an empty"),
    ],
)
def test_a_damaged_word_is_refused_with_its_row(cells, sentence):
    table = [one | {"decision": "covid_suspected"} for one in rows(3)]
    table[1] |= cells
    with pytest.raises(DataError, match=sentence):
        parse_results("t.csv", table)


def test_decisions_of_each_network_have_their_own_words():
    cells = row("a.png", prefix="vgg16_", model="vgg16-aa", vgg16_decision="normal_suspected") | row("a.png")
    assert parse_results("t.csv", [cells]).networks[0].decisions == ("normal_suspected",)
    with pytest.raises(DataError, match=r"a\.png: vgg16_decision is 'maybe'"):
        parse_results("t.csv", [cells | {"vgg16_decision": "maybe"}])


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="expected a table of cxr-batch"):
        parse_results("t.csv", [{"name": "a"}])
    with pytest.raises(DataError, match="no rows"):
        parse_results("t.csv", [])
    with pytest.raises(DataError, match=r"several rows for a\.png"):
        parse_results("t.csv", [row("a.png"), row("a.png")])
