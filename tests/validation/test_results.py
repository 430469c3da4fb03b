import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.screening.paths import unescape
from cxr.screening.schema import status_of
from cxr.validation.results import NO_ANSWER, parse_results
from tests.validation.tables import APPLIED, CLASSES, row, rows, unanswered, whole_row


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
        ({"probability_covid": "99 %"}, r"t\.csv, row 2, a\.png: probability_covid is '99 %', which is no number"),
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
            r"t\.csv, row 3, normal/1\.png: decision is 'maybe'; expected covid_suspected, .* or an empty",
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


def whole(**edited):
    """Return three answered rows and a rejected one, the cells of one of them edited: `normal={...}`."""
    table = {name: whole_row(f"{name}.png", number) for number, name in enumerate(CLASSES)}
    lost = dict.fromkeys(table["covid"], "") | {"path": "lost.png", "status": "rejected", "reason": "blank"}
    table["lost"] = lost | {"model": table["covid"]["model"]}
    for name, cells in edited.items():
        table[name] |= cells
    return list(table.values())


def parsed(table, **known):
    return parse_results("t.csv", table, status_of=status_of, applied={"cnn1-0123456789ab": APPLIED}, **known)


def test_a_table_that_keeps_the_rules_is_read():
    assert parsed(whole()).statuses == ("ok", "ok", "ok", "rejected")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"sha256": "1.23E+57"}, "sha256 is '1.23E+57', a number, as a spreadsheet makes of digits; expected 64"),
        ({"sha256": "abc"}, "sha256 is 'abc'; expected 64 hexadecimal digits or an empty cell"),
        ({"status": "banana"}, "status is 'banana'; expected ok, rejected or error"),
        ({"status": ""}, "status is ''; expected ok, rejected or error"),
        ({"status": "error", "reason": "truncated"}, "status is 'error', but prediction is 'normal'; expected no ans"),
        ({"status": "rejected", "reason": "blank"}, "status is 'rejected', but prediction is 'normal'"),
        ({"reason": "blank"}, "status is 'ok', but reason is 'blank'; expected an empty cell"),
        (
            {"decision": "not_suspected", "refer_reason": "empty_set"},
            "refer_reason is 'empty_set', but decision is 'not",
        ),
        ({"decision": "refer"}, "decision is 'refer', but refer_reason is empty; expected out_of_distribution, "),
        ({"decision": "refer", "refer_reason": "why"}, "refer_reason is 'why'; expected out_of_distribution"),
        ({"decision": ""}, "decision is empty, but other rows have decisions"),
        (
            {"decision": "covid_suspected"},
            "decision is 'covid_suspected', but probability_covid is below its limit 0.3",
        ),
        ({"decision": "refer", "refer_reason": "several_classes"}, "but not more than one class is possible"),
        ({"decision": "refer", "refer_reason": "contradiction"}, "but prediction and decision agree"),
        ({"model": "other-1"}, "model is 'other-1', but 'cnn1-0123456789ab' in the rows above; expected one network"),
    ],
)
def test_what_cxr_batch_cannot_have_written_is_refused_with_its_row(cells, sentence):
    with pytest.raises(DataError) as error:
        parsed(whole(normal=cells))
    assert str(error.value).startswith("t.csv, row 3, normal.png: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"status": "ok"}, "status is 'ok', but prediction is empty; expected an answer"),
        ({"status": "error"}, "status is 'error', but reason is 'blank'; expected the status 'rejected'"),
        ({"reason": "truncated"}, "status is 'rejected', but reason is 'truncated'; expected the status 'error'"),
        ({"reason": ""}, "status is 'rejected', but reason is empty; expected the reason"),
        ({"decision": "not_suspected"}, "decision is 'not_suspected', but prediction is empty"),
        ({"probability_covid": "0.100000"}, "probability_covid is '0.100000', but prediction is empty"),
    ],
)
def test_a_row_without_an_answer_that_cannot_be_is_refused(cells, sentence):
    with pytest.raises(DataError, match=rf"^t\.csv, row 9, lost\.png: {sentence}"):
        parsed(whole(lost=cells), numbers=(3, 4, 5, 9))


def test_a_reason_of_a_later_version_is_as_good_as_any_other():
    assert parsed(whole(lost={"reason": "upside_down"})).reasons[3] == "upside_down"


def test_of_several_networks_a_failed_row_may_have_the_answers_of_some():
    other = {
        key.replace("prediction", "b_prediction").replace("probability", "b_probability"): cell
        for key, cell in row("a.png", skill=9).items()
        if key.startswith("pr")
    }
    lost = dict.fromkeys(other, "")
    table = [whole_row("a.png") | other, whole_row("b.png", status="error", reason="network_failure") | lost]
    assert parsed(table).networks[1].predicted.tolist() == [0, NO_ANSWER]
    table[1] |= {"status": "rejected", "reason": "blank"}
    with pytest.raises(DataError, match="status is 'rejected', but prediction is 'covid'"):
        parsed(table)


def of_probabilities(*numbers):
    return {f"probability_{name}": f"{number:.6f}" for name, number in zip(CLASSES, numbers, strict=True)}


def test_decisions_are_checked_by_what_decided():
    none = of_probabilities(0.4, 0.3, 0.3)
    with pytest.raises(DataError, match="'covid_suspected', but not one class alone is possible, by the covid_sens95"):
        parsed(whole(covid=none))
    assert parsed(whole(covid=none | {"decision": "refer", "refer_reason": "empty_set"}))
    assert parsed(whole(covid=of_probabilities(0.5, 0.5, 0))), "0.5 may be a hair below the limit, before rounding"
    parse_results("t.csv", whole(covid=none), applied={"another-1": APPLIED})


@pytest.mark.parametrize("decimals", [1, 2, 5])
def test_rounded_probabilities_are_said_to_be_that(decimals):
    table = rows(30)
    for one in table:
        one |= {name: f"{float(cell):.{decimals}f}" for name, cell in one.items() if name.startswith("probability_")}
    with pytest.raises(DataError, match=rf"rounded probabilities: .* has {decimals} decimals at most in 30 answers"):
        parse_results("t.csv", table)


def test_one_rounded_answer_is_said_to_be_that():
    thirds = {f"probability_{name}": "0.33" for name in CLASSES}
    with pytest.raises(DataError, match=r"rounded probabilities: those of a\.png have 2 decimals and sum to 0\.99"):
        parse_results("t.csv", [row("a.png", prediction="covid") | thirds])


def test_certain_answers_without_their_zeros_are_not_rounded():
    certain = {"prediction": "covid", "probability_covid": "1", "probability_normal": "0"}
    table = [row(f"{number}.png") | certain | {"probability_viral_pneumonia": "0"} for number in range(30)]
    assert parse_results("t.csv", table).networks[0].predicted.tolist() == [0] * 30


def test_rows_without_a_path_and_files_with_several_are_named():
    empty = [row("a.png"), row(""), row(""), row("b.png")]
    with pytest.raises(DataError, match=r"^t\.csv, rows 3, 4: path is empty; expected the name of a file"):
        parse_results("t.csv", empty)
    with pytest.raises(DataError, match=r"^t\.csv, row 3: path is empty"):
        parse_results("t.csv", empty[:2])
    with pytest.raises(DataError, match=r"several rows for a\.png: rows 2, 4, 5, 6, 7 and 1 more; expected each file"):
        parse_results("t.csv", [row("a.png"), row("b.png"), *[row("a.png")] * 5])


def test_tables_pasted_together_are_told_by_their_networks_or_their_second_header():
    with pytest.raises(DataError, match=r"row 3, a\.png: model is 'b-1', but 'a-1' in the rows above"):
        parse_results("t.csv", [row("a.png", model="a-1"), row("a.png", model="b-1")])
    first = row("a.png", prefix="b_", model="b-1") | row("a.png", model="a-1")
    with pytest.raises(DataError, match=r"row 3, b\.png: b_model is 'c-1', but 'b-1' in the rows above"):
        parse_results("t.csv", [first, first | {"path": "b.png", "b_model": "c-1"}])
    with pytest.raises(DataError, match="has its header again in row 3"):
        parse_results("t.csv", [row("a.png"), {name: name for name in row("a.png")}, row("b.png")])
