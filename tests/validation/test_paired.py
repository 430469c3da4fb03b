import re

import pytest

from cxr.core.errors import DataError
from cxr.validation.external import ALL, UNSEEN
from cxr.validation.labels import read_meanings
from cxr.validation.matching import NamedFiles
from cxr.validation.paired import compare_tables
from cxr.validation.report import render_markdown
from cxr.validation.results import parse_results
from tests.validation.tables import row, rows, unanswered
from tests.validation.test_external import ask, labels_of, trained


def compare(first, second, labels=None, question=None):
    tables = parse_results("a.csv", first), parse_results("b.csv", second)
    return compare_tables(*tables, labels or labels_of(first), question or ask(seed=1))


def test_two_tables_are_compared_on_the_files_that_both_answered():
    good, bad = rows(60, skill=6), rows(60, skill=0, seed=100)
    bad[3] = unanswered(good[3]["path"])
    report = compare(good, bad)
    (all_files,) = report.sets
    (pair,) = all_files.of_classes
    assert (pair.a, pair.b) == ("a: cnn1-0123456789ab", "b: cnn1-0123456789ab")
    assert (all_files.n, report.answered_by_some_only) == (59, NamedFiles(1, (good[3]["path"],)))
    assert pair.p < 0.001
    right = [
        sum(one["prediction"] == one["path"].split("/")[0] for number, one in enumerate(table) if number != 3)
        for table in (good, bad)
    ]
    assert pair.accuracy_gap.value == pytest.approx((right[0] - right[1]) / 59, abs=1e-6)


def test_a_worse_network_is_below_and_never_minus_above():
    good, bad = rows(60, skill=6), rows(60, skill=0, seed=100)
    text = render_markdown(compare(bad, good))
    gap = next(line for line in text.splitlines() if line.startswith("| accuracy of a (bootstrap)"))
    assert re.fullmatch(r"\| accuracy of a \(bootstrap\) \| \d+\.\d points \[\d+\.\d, \d+\.\d\] below b \|", gap)
    assert "] above b" in render_markdown(compare(good, bad))


def test_tables_in_another_order_are_compared_file_by_file():
    table = rows(30)
    (twin,) = compare(table, table[::-1]).sets
    assert (twin.of_classes[0].only_a_right, twin.of_classes[0].only_b_right) == (0, 0)
    assert twin.of_classes[0].log_loss_gap.value == 0


def test_files_that_either_was_trained_on_have_their_own_column():
    first, second = trained(rows(60, skill=3), 0, 1), trained(rows(60, skill=1, seed=9), 1, 2)
    report = compare(first, second)
    assert [(one.files, one.n) for one in report.sets] == [(ALL, 60), (UNSEEN, 57)]
    assert report.trained.number == 3
    assert report.sets[1].of_classes == compare(first[3:], second[3:]).sets[0].of_classes
    assert "Believe the column 'not trained on'" in render_markdown(report)


def test_labels_of_no_class_count_for_the_target_against_the_rest():
    first = [*rows(30, skill=3), *(row(f"tb/{i}.png", 1, skill=3, seed=i) for i in range(10))]
    second = [*rows(30, skill=3, seed=50), *(row(f"tb/{i}.png", 0, skill=3, seed=i) for i in range(10))]
    (one,) = compare(first, second, question=ask(read_meanings(None, [], ["tb"]))).sets
    assert (one.n, one.n_of_classes) == (40, 30)
    assert one.against_rest[0].auc_gap.value > 0.1


@pytest.mark.parametrize("seed", range(12))
def test_the_interval_of_the_auc_against_the_rest_is_the_one_of_its_p_value(seed):
    report = compare(rows(40, skill=2.5, seed=seed), rows(40, skill=1, seed=500 + seed))
    (one,) = report.sets[0].against_rest
    assert (one.auc_p < 0.05) == (one.auc_gap.low > 0 or one.auc_gap.high < 0)
    assert one.auc_gap.low < one.auc_gap.value < one.auc_gap.high
    text = render_markdown(report)
    assert text.count("covid against the rest (DeLong) |") == 2
    assert {"| accuracy of a (bootstrap)", "| p, accuracy (McNemar)"} <= {
        line.rpartition(" |")[0].rpartition(" |")[0] for line in text.splitlines()
    }


def test_positive_is_told_where_it_means_another_class_in_a_comparison():
    table = [one | {"path": one["path"].replace("covid/", "COVID-19/")} for one in rows(30)]
    means = read_meanings(None, ["COVID-19"])
    words = "'positive' means normal here, the class of --target, and not covid: COVID-19."
    assert words in render_markdown(compare(table, table, labels_of(table), ask(means, target="normal")))


def test_where_one_table_does_not_tell_no_file_is_called_not_trained_on():
    older = [one | {"in_training_set": ""} for one in rows(30, seed=9)]
    report = compare(trained(rows(30), 0, 1), older)
    assert ([one.files for one in report.sets], report.training_known) == ([ALL], False)
    assert "not trained on" not in render_markdown(report)


def test_networks_of_other_classes_or_targets_are_not_compared():
    other = {"path": "covid/0.png", "prediction": "covid", "probability_covid": "0.6", "probability_normal": "0.4"}
    with pytest.raises(DataError, match="only networks of the same classes"):
        compare(rows(3), [other], labels_of([other]))
    undecided = [one | {"decision": ""} for one in rows(3)]
    with pytest.raises(
        DataError, match=r"b: cnn1-0123456789ab looks for nothing, a: .* name the class .* with --target"
    ):
        compare(rows(3), undecided)


def test_tables_without_a_common_file_are_not_compared():
    table = rows(6)
    with pytest.raises(DataError, match="no labelled file that all their networks answered"):
        compare(table[:3], table[3:], labels_of(table), ask(target="covid"))


def test_pictures_whose_labels_contradict_each_other_are_not_compared():
    first, second = rows(30), rows(30, seed=9)
    first += [first[0] | {"path": "normal/copy.png"}]
    second = [*(one | {"sha256": ""} for one in second), second[0] | {"path": "normal/copy.png", "sha256": ""}]
    for tables in ((first, second), (second, first), (first, first[::-1])):
        report = compare(*tables, labels_of(first))
        assert report.contradicting == NamedFiles(1, ("covid/0.png as covid and normal/copy.png as normal",))
        assert (report.sets[0].n, report.answered_by_some_only.number) == (29, 0)
        assert "left out; correct the labels: 1 (covid/0.png as covid" in render_markdown(report)


@pytest.mark.parametrize("side", ["covid", "normal"])
def test_files_of_one_class_are_compared_as_far_as_they_go(side):
    first, second = ([one for one in rows(90, skill, 7) if one["path"].startswith(side)] for skill in (4, 0))
    report = compare(first, second, question=ask(target="covid", seed=1))
    (pair,) = report.sets[0].of_classes
    right = [sum(one["prediction"] == side for one in table) for table in (first, second)]
    assert pair.accuracy_gap.value == pytest.approx((right[0] - right[1]) / 30, abs=1e-6)
    assert pair.only_a_right - pair.only_b_right == right[0] - right[1]
    text = render_markdown(report)
    assert re.search(r"\| only a right : only b right \| \d+ : \d+ \|", text)
    assert "The AUC of covid against the rest needs files of both kinds, and is not given without." in text
    assert not re.search(r"\bnan\b", text)


def test_where_no_accuracy_is_compared_the_sentence_says_why():
    first, second = rows(60, skill=3), rows(60, skill=1, seed=9)
    names = ["PCR+" if number % 3 == 0 else "PCR-" for number in range(60)]
    report = compare(first, second, labels_of(first, names), ask(read_meanings(None, ["PCR+"], ["PCR-"]), seed=1))
    assert report.sets[0].of_classes == ()
    text = render_markdown(report)
    assert "not given where the files of the networks' classes are of one class or none: see covid against" in text
