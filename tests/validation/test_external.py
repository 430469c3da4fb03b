import json

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.core.records import as_json
from cxr.validation.external import DecidedClass, blocks, compare_tables, evaluate_table, render_markdown
from cxr.validation.labels import Label, LabelTable, NamedFiles, parse_results
from tests.validation.tables import CLASSES, row, rows, unanswered


def labels_of(table, source="", group=""):
    known = tuple(((one["path"],), Label(one["path"].split("/")[0], group, source)) for one in table)
    return LabelTable("labels.csv", known)


def evaluate(table, labels=None, seed=1):
    return evaluate_table(parse_results("t.csv", table), labels or labels_of(table), seed)


def test_figures_are_those_of_the_cells():
    table = rows(90)
    (network,) = evaluate(table).networks
    truth = [one["path"].split("/")[0] for one in table]
    right = np.mean([one["prediction"] == name for one, name in zip(table, truth, strict=True)])
    loss = -np.mean([np.log(float(one[f"probability_{name}"])) for one, name in zip(table, truth, strict=True)])
    assert network.metrics.accuracy.value == pytest.approx(right, abs=1e-6)
    assert network.metrics.log_loss.value == pytest.approx(loss, abs=1e-5)
    assert network.confusion[0][0] == sum(
        name == one["prediction"] == "covid" for one, name in zip(table, truth, strict=True)
    )
    assert np.sum(network.confusion) == network.n == 90
    assert network.missing_as_errors.accuracy == network.metrics.accuracy


def test_a_row_without_an_answer_is_counted_named_and_an_error_in_the_second_figure():
    table = [*rows(30), unanswered("covid/broken.png")]
    (network,) = evaluate(table).networks
    assert network.n == 30
    assert network.without_answer == NamedFiles(1, ("covid/broken.png",))
    right = round(network.metrics.accuracy.value * 30)
    assert network.missing_as_errors.n == 31
    assert network.missing_as_errors.accuracy.value == pytest.approx(right / 31, abs=1e-6)
    assert network.missing_as_errors.sensitivity["covid"].value < network.classes[0].sensitivity.value


def test_a_table_without_any_answer_is_refused():
    table = [unanswered("covid/a.png") | {"path": "covid/a.png"}]
    with pytest.raises(DataError, match="no answer of cnn1-0123456789ab for any labelled file"):
        evaluate(table)


def test_decisions_are_counted_as_the_table_made_them():
    words = [
        "covid_suspected",
        "covid_suspected",
        "not_suspected",
        "refer",
        "covid_suspected",
        "not_suspected",
        "refer",
    ]
    folders = ["covid"] * 4 + ["normal"] * 3
    pairs = enumerate(zip(folders, words, strict=True))
    table = [row(f"{folder}/{i}.png", CLASSES.index(folder), skill=9, decision=word) for i, (folder, word) in pairs]
    found = evaluate(table).networks[0].decisions
    assert found.target == "covid"
    assert found.sensitivity.value == pytest.approx(2 / 3, abs=1e-6)
    assert found.specificity.value == 0.5
    assert found.suspected_or_referred.value == 0.75
    assert found.referred.share.value == pytest.approx(2 / 7, abs=1e-6)
    assert found.by_class[0] == DecidedClass("covid", suspected=2, not_suspected=1, referred=1)


def test_decisions_that_suspect_nothing_do_not_tell_their_target_and_absent_ones_are_null():
    nothing = [one | {"decision": "not_suspected"} for one in rows(6)]
    assert evaluate(nothing).networks[0].decisions.target is None
    assert evaluate([one | {"decision": ""} for one in rows(6)]).networks[0].decisions is None


def test_images_of_the_training_set_are_pointed_out():
    table = [one | {"in_training_set": "yes" if number < 2 else "no"} for number, one in enumerate(rows(9))]
    report = evaluate(table)
    assert report.networks[0].in_training_set == NamedFiles(2, ("covid/0.png", "normal/1.png"))
    assert "In the training set, which makes figures look better: 2 (covid/0.png, normal/1.png)." in render_markdown(
        report
    )


def test_sources_have_their_own_lines():
    table = rows(12)
    report = evaluate(table, labels_of(table, source="bimcv"))
    cells = report.networks[0].sources
    assert [(cell.source, cell.label, cell.n, cell.small) for cell in cells] == [
        ("bimcv", name, 4, True) for name in CLASSES
    ]


def test_a_report_of_few_images_has_no_nan_and_all_its_blocks():
    for table in (rows(1), rows(2), [*rows(4), unanswered("normal/x.png")]):
        report = evaluate(table)
        json.dumps(as_json(report), allow_nan=False)
        titles = [block.title for block in blocks(report)]
        assert titles[0] == "t.csv against labels.csv"
        assert any(title.endswith("by class") for title in titles)
        assert "nan" not in render_markdown(report).lower().replace("covid", "")


def test_two_tables_are_compared_on_the_files_that_both_answered():
    good, bad = rows(60, skill=6), rows(60, skill=0, seed=100)
    bad[3] = unanswered(good[3]["path"])
    first, second = parse_results("a.csv", good), parse_results("b.csv", bad)
    report = compare_tables(first, second, labels_of(good), 1)
    (pair,) = report.comparisons
    assert (pair.a, pair.b) == ("a: cnn1-0123456789ab", "b: cnn1-0123456789ab")
    assert (report.n, report.answered_by_some_only) == (59, NamedFiles(1, (good[3]["path"],)))
    assert pair.p < 0.001
    assert pair.accuracy_gap.low > 0
    right = [
        sum(one["prediction"] == one["path"].split("/")[0] for number, one in enumerate(table) if number != 3)
        for table in (good, bad)
    ]
    assert pair.accuracy_gap.value == pytest.approx((right[0] - right[1]) / 59, abs=1e-6)
    assert "59 common images" in render_markdown(report)


def test_tables_in_another_order_are_compared_file_by_file():
    table = rows(30)
    twin = compare_tables(parse_results("a", table), parse_results("b", table[::-1]), labels_of(table), 1)
    assert (twin.comparisons[0].only_a_right, twin.comparisons[0].only_b_right) == (0, 0)
    assert twin.comparisons[0].log_loss_gap.value == 0


def test_networks_of_other_classes_are_not_compared():
    other = {"path": "covid/0.png", "prediction": "covid", "probability_covid": "0.6", "probability_normal": "0.4"}
    labels = labels_of([other])
    with pytest.raises(DataError, match="only networks of the same classes"):
        compare_tables(parse_results("a", rows(3)), parse_results("b", [other]), labels, 1)


def test_tables_without_a_common_file_are_not_compared():
    table = rows(6)
    with pytest.raises(DataError, match="no labelled file that all their networks answered"):
        compare_tables(parse_results("a", table[:3]), parse_results("b", table[3:]), labels_of(table), 1)
