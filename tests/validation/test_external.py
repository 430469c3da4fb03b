import json
import re

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.core.records import as_json
from cxr.validation.external import ALL, UNSEEN, Question, evaluate_table
from cxr.validation.grouping import GroupBy
from cxr.validation.labels import NEGATIVE, Label, LabelTable, read_meanings
from cxr.validation.matching import NamedFiles
from cxr.validation.measures import by_key
from cxr.validation.report import blocks, render_markdown
from cxr.validation.results import parse_results
from tests.validation.tables import CLASSES, row, rows, unanswered


def labels_of(table, names=None, **columns):
    """Label each row by its first folder, or as `names` says; `columns` are functions of the row's number."""
    known = []
    for number, one in enumerate(table):
        label = one["path"].split("/")[0] if names is None else names[number]
        cells = {name: value(number) for name, value in columns.items()}
        known.append(((one["path"],), Label(label, cells.get("group", ""), cells)))
    return LabelTable("labels.csv", tuple(known), tuple(columns))


def ask(means=None, **asked):
    return Question(means or {}, **asked)


def evaluate(table, labels=None, question=None):
    return evaluate_table(parse_results("t.csv", table), labels or labels_of(table), question or ask(seed=1))


def figures(network, files=ALL, by="", group=""):
    (one,) = (one for one in network.sets if (one.files, one.by, one.group) == (files, by, group))
    return by_key(one.figures)


def trained(table, *numbers):
    return [one | {"in_training_set": "yes" if number in numbers else "no"} for number, one in enumerate(table)]


def test_figures_are_those_of_the_cells():
    table = rows(90)
    (network,) = evaluate(table).networks
    truth = [one["path"].split("/")[0] for one in table]
    right = np.mean([one["prediction"] == name for one, name in zip(table, truth, strict=True)])
    loss = -np.mean([np.log(float(one[f"probability_{name}"])) for one, name in zip(table, truth, strict=True)])
    found = figures(network)
    assert found[("accuracy", "", None)].value.value == pytest.approx(right, abs=1e-6)
    assert found[("log_loss", "", None)].value.value == pytest.approx(loss, abs=1e-5)
    covid = network.labels[0]
    assert (covid.label, covid.means, covid.files) == ("covid", "covid", 30)
    assert covid.predicted["covid"] == sum(
        name == one["prediction"] == "covid" for one, name in zip(table, truth, strict=True)
    )


def test_what_became_of_each_labels_files_is_counted_with_the_reasons():
    table = [
        row("covid/0.png", 0, skill=9, decision="covid_suspected"),
        row("covid/1.png", 0, skill=9, decision="refer", refer_reason="several_classes"),
        unanswered("covid/2.png", status="rejected", reason="not_a_radiograph"),
        unanswered("covid/3.png", status="error", reason="truncated"),
        row("normal/4.png", 1, skill=9, decision="not_suspected"),
    ]
    (network,) = evaluate(table).networks
    covid, normal = network.labels
    assert covid.outcomes == {"covid_suspected": 1, "refer": 1, "rejected": 1, "error": 1}
    assert covid.reasons == {"refer: several_classes": 1, "rejected: not_a_radiograph": 1, "error: truncated": 1}
    assert normal.outcomes == {"not_suspected": 1}
    assert network.without_answer == NamedFiles(2, ("covid/2.png", "covid/3.png"))
    found = figures(network)
    assert found[("without_decision", "covid", None)].value.value == 0.75
    assert found[("sensitivity_no_decision_counts_as_wrong", "covid", None)].value.value == 0.25


def test_without_decisions_predictions_are_counted():
    (network,) = evaluate([one | {"decision": ""} for one in rows(6)], question=ask(target="covid")).networks
    assert not network.decides
    assert set(network.labels[0].outcomes) <= set(CLASSES)


def test_a_table_without_any_answer_is_refused():
    with pytest.raises(DataError, match="no answer of cnn1-0123456789ab for any labelled file"):
        evaluate([unanswered("covid/a.png")])


def test_figures_with_and_without_training_images_stand_side_by_side():
    table = trained(rows(60, skill=0.5), *range(0, 60, 4))
    (network,) = evaluate(table).networks
    (alone,) = evaluate([one for one in table if one["in_training_set"] == "no"]).networks
    assert network.believed == UNSEEN
    assert network.in_training_set.number == 15
    assert figures(network, UNSEEN) == figures(alone, ALL)
    assert figures(network, UNSEEN).keys() == figures(network, ALL).keys()
    assert figures(network, UNSEEN) != figures(network, ALL)
    assert network.curves == alone.curves
    assert sum(label.files for label in network.labels) == 45


def test_every_headline_has_both_columns_and_the_text_says_which_to_believe():
    report = evaluate(trained(rows(60), *range(0, 60, 4)), question=ask(seed=1, prevalences=(0.02,)))
    found = {block.title.partition(": ")[2]: block for block in blocks(report)}
    for title in ("covid against the rest", "calibration of the probability of covid", "among its classes"):
        assert found[title].header[1:] == ("not trained on", "all files")
    assert found["predictive values where covid has another share"].header[1:] == (
        "PPV, not trained on",
        "NPV, not trained on",
        "PPV, all files",
        "NPV, all files",
    )
    assert "decision curve of covid" in found
    assert {"each class against the others, not trained on", "each class against the others, all files"} <= set(found)
    text = render_markdown(report)
    assert "Files that the network was trained on: 15 (covid/0.png, normal/4.png, viral_pneumonia/8.png," in text
    assert "Believe the column 'not trained on'" in text


def test_without_training_images_there_is_one_column():
    report = evaluate(trained(rows(30)))
    text = render_markdown(report)
    assert "The network was trained on none of these files." in text
    assert "not trained on" not in text
    assert figures(report.networks[0], UNSEEN) == figures(report.networks[0], ALL)


def test_what_is_not_known_is_neither_trained_on_nor_not_trained_on():
    table = trained(rows(60, skill=0.5), *range(0, 60, 4))
    lost = [unanswered(f"covid/lost {number}.png", status="error", reason="truncated") for number in range(2)]
    alone, (network,) = evaluate(table).networks[0], evaluate([*table, *lost]).networks
    assert network.training_not_known == NamedFiles(2, ("covid/lost 0.png", "covid/lost 1.png"))
    assert figures(network, UNSEEN) == figures(alone, UNSEEN)
    assert [(one.files, one.n) for one in network.sets] == [(ALL, 62), (UNSEEN, 45)]
    text = render_markdown(evaluate([*table, *lost]))
    assert "or the table is older: 2 (covid/lost 0.png, covid/lost 1.png)." in text
    assert "Those are in the column 'all files' alone." in text


def test_where_nothing_was_trained_on_what_is_not_known_makes_no_second_column():
    report = evaluate([*trained(rows(30)), unanswered("covid/lost.png", status="error", reason="truncated")])
    assert report.networks[0].believed == ALL
    text = render_markdown(report)
    assert "The network was trained on none of the other files." in text
    assert "not trained on" not in text
    assert sum(label.files for label in report.networks[0].labels) == 31


def test_rejected_films_of_training_are_not_among_those_not_trained_on():
    table = trained(rows(30), 0, 1)
    rejected = [
        unanswered(f"covid/x{word}.png", status="rejected", reason="not_a_radiograph", in_training_set=word)
        for word in ("yes", "no")
    ]
    (network,) = evaluate([*table, *rejected]).networks
    assert network.in_training_set.number == 3
    assert network.training_not_known.number == 0
    assert figures(network, UNSEEN)[("files", "", None)].n == 29


@pytest.mark.parametrize("known", [(), (0, 1)])
def test_films_of_validation_are_spoken_of_wherever_others_are_believed(known):
    assert "validation split" in render_markdown(evaluate(trained(rows(30), *known)))


def test_decisions_about_another_class_are_neither_counted_nor_shown():
    table = [*rows(30), unanswered("normal/lost.png", status="rejected", reason="blank")]
    words = [one["decision"] for one in table]  # of one group none names covid: its decisions are about covid, too
    labels = labels_of(table, site=lambda number: "A" if words[number] == "covid_suspected" else "B")
    report = evaluate(table, labels, ask(target="normal", seed=1, by=(GroupBy("site"),)))
    (network,) = report.networks
    assert (network.decides, network.decisions_about) == (False, "covid")
    assert {word for label in network.labels for word in label.outcomes} <= {*CLASSES, "rejected"}
    assert {reason for label in network.labels for reason in label.reasons} == {"rejected: blank"}
    assert not any("decision" in figure.metric for one in network.sets for figure in one.figures)
    assert figures(network)[("without_answer", "normal", None)].value.value == pytest.approx(1 / 11, abs=1e-6)
    text = render_markdown(report)
    assert "The decisions of this table are about covid, not about normal" in text
    assert not re.search("refer|without a decision|no decision", text)
    assert "| rejected or failed, of normal | 9.1 %" in text


def test_positive_is_told_where_it_means_another_class_than_the_decisions():
    table = [one | {"path": one["path"].replace("covid/", "COVID-19/")} for one in rows(30)]
    means = read_meanings(None, ["COVID-19"])
    words = "'positive' means normal here, the class of --target, and not covid: COVID-19."
    assert words in render_markdown(evaluate(table, question=ask(means, target="normal")))
    for target in (None, "covid"):
        assert "'positive' means" not in render_markdown(evaluate(table, question=ask(means, target=target)))


def test_training_images_alone_show_nothing_and_an_older_table_does_not_tell():
    all_trained = evaluate(trained(rows(6), *range(6)))
    assert all_trained.networks[0].believed == ALL
    assert "no figure here says what it does with others" in render_markdown(all_trained)
    older = evaluate([{k: v for k, v in one.items() if k != "in_training_set"} for one in rows(6)])
    assert older.networks[0].in_training_set is None
    assert [one.files for one in older.networks[0].sets] == [ALL]
    assert "does not say which files the network was trained on" in render_markdown(older)


def test_labels_of_no_class_count_as_negative():
    table = rows(60, skill=1)
    names = ["PCR+" if number % 3 == 0 else "PCR-" for number in range(60)]
    report = evaluate(table, labels_of(table, names), ask(read_meanings(None, ["PCR+"], ["PCR-"])))
    (network,) = report.networks
    found = figures(network)
    assert found[("specificity_most_probable_class", "covid", None)].n == 40
    assert not any(metric == "accuracy" for metric, _, _ in found)
    assert [(label.label, label.means, label.files) for label in network.labels] == [
        ("PCR+", "covid", 20),
        ("PCR-", NEGATIVE, 40),
    ]
    assert "Positive: 20 files (PCR+ 20). Negative: 40 files (PCR- 40)." in render_markdown(report)


def test_specificity_is_not_flattered_by_leaving_other_classes_out():
    table = [*rows(30, skill=9), *(row(f"tb/{number}.png", 0, skill=9) for number in range(10))]
    (network,) = (report := evaluate(table, question=ask(read_meanings(None, [], ["tb"])))).networks
    found = figures(network)
    assert found[("specificity_most_probable_class", "covid", None)].value.value == pytest.approx(20 / 30, abs=1e-6)
    assert found[("specificity_among_classes", "covid", None)].value.value == 1
    assert "Not in these figures: tb 10. Their false alarms do not count here" in render_markdown(report)


def test_labels_that_are_left_out_are_counted_and_not_measured():
    table = [*rows(12), row("unclear/0.png")]
    (network,) = evaluate(table, question=ask(read_meanings(None, [], [], ["unclear"]))).networks
    assert figures(network)[("files", "", None)].n == 12
    assert (network.labels[-1].label, network.labels[-1].means, network.labels[-1].files) == ("unclear", "leave_out", 1)


def test_a_label_without_a_meaning_is_refused():
    with pytest.raises(DataError, match=r"labels\.csv has labels .*: 'tb' \(1 file\)\. Say what each means"):
        evaluate([*rows(3), row("tb/0.png")])


def test_where_nothing_tells_the_target_it_is_asked_for():
    table = [one | {"decision": "not_suspected"} for one in rows(12)]
    (network,) = (report := evaluate(table)).networks
    assert network.target is None
    text = render_markdown(report)
    assert "No row is suspected, so the table does not tell which class is looked for; name it with --target" in text
    assert "| label | means | files | not suspected |" in text, "of what did not happen there is no column"
    assert "None" not in render_markdown(report)
    assert not any(metric == "auc" for metric, _, _ in figures(network))
    names = ["sick" if number % 3 == 0 else "well" for number in range(12)]
    means = read_meanings(None, ["sick"], ["well"])
    with pytest.raises(DataError, match="name it with --target, one of covid, normal, viral_pneumonia"):
        evaluate(table, labels_of(table, names), ask(means))
    (network,) = evaluate(table, labels_of(table, names), ask(means, target="covid")).networks
    assert network.target == "covid"
    with pytest.raises(DataError, match="--target flu: cnn1-0123456789ab has the classes covid, normal"):
        evaluate(table, question=ask(target="flu"))


def test_each_group_has_every_figure_and_small_ones_are_named():
    table = trained(rows(120), 0)
    labels = labels_of(table, site=lambda number: "a" if number < 100 else "b", age=lambda number: f"{number % 80},5")
    by = (GroupBy("site"), GroupBy("age", (40.0,)))
    report = evaluate(table, labels, ask(by=by, seed=1))
    (network,) = report.networks
    assert [(one.by, one.group) for one in network.sets if one.files == ALL] == [
        ("", ""),
        ("site", "a"),
        ("site", "b"),
        ("age", "below 40"),
        ("age", "40 and above"),
    ]
    alone = evaluate(table[100:]).networks[0]
    assert figures(network, ALL, "site", "b") == figures(alone)
    text = render_markdown(report)
    assert "* A figure of fewer than 30 files, which says little: a, b." in text
    assert "a, all files" in text


def test_a_column_source_is_grouped_by_unasked_and_a_column_of_the_table_too():
    table = [one | {"dicom_Manufacturer": "AGFA" if number % 2 else ""} for number, one in enumerate(rows(12))]
    (network,) = evaluate(table, labels_of(table, source=lambda _: "bimcv")).networks
    assert {one.group for one in network.sets if one.by == "source"} == {"bimcv"}
    (network,) = evaluate(table, question=ask(by=(GroupBy("dicom_Manufacturer"),))).networks
    assert {one.group for one in network.sets if one.by} == {"AGFA", "not stated"}
    with pytest.raises(
        DataError, match=r"--by site: labels\.csv has the columns age, and t\.csv has none of that name"
    ):
        evaluate(table, labels_of(table, age=lambda _: "3"), ask(by=(GroupBy("site"),)))


def test_a_report_of_few_images_has_no_nan_and_all_its_blocks():
    for table in (rows(1), rows(2), [*rows(4), unanswered("normal/x.png")]):
        report = evaluate(table, question=ask(target="covid", prevalences=(0.1,), seed=1))
        json.dumps(as_json(report), allow_nan=False)
        titles = [block.title for block in blocks(report)]
        assert titles[0] == "t.csv against labels.csv"
        assert any(title.endswith("covid against the rest") for title in titles)
        assert not re.search(r"\bnan\b", render_markdown(report).lower())


def copied(table, number, path):
    return table[number] | {"path": path}


def test_equal_pictures_with_labels_that_contradict_each_other_are_named_and_left_out():
    table = [*rows(30)]
    table += [
        copied(table, 0, "normal/copy.png"),
        copied(table, 3, "covid/copy.png"),
        copied(table, 1, "unclear/c.png"),
    ]
    report = evaluate(table, question=ask(read_meanings(None, [], [], ["unclear"]), seed=1))
    (network,) = report.networks
    assert network.contradicting == NamedFiles(1, ("covid/0.png as covid and normal/copy.png as normal",))
    alone = [one for one in table if one["path"] not in ("covid/0.png", "normal/copy.png", "unclear/c.png")]
    assert figures(network) == figures(evaluate(alone).networks[0])
    text = render_markdown(report)
    words = "labels that contradict each other, left out; correct the labels: 1 (covid/0.png as covid and normal/copy"
    assert words in text
    assert "| covid | leave_out | 1 |" in text


@pytest.mark.parametrize(
    ("label", "means", "contradicts"),
    [
        ("PCR+", read_meanings(None, ["PCR+"]), False),
        ("PCR-", read_meanings(None, [], ["PCR-"]), True),
        ("Viral Pneumonia", {}, True),
        ("COVID", {}, False),
    ],
)
def test_what_labels_mean_tells_whether_they_contradict_each_other(label, means, contradicts):
    table = rows(30)
    (network,) = evaluate([*table, copied(table, 0, f"{label}/a.png")], question=ask(means)).networks
    assert bool(network.contradicting.number) is contradicts


def test_what_is_negative_may_be_of_any_class_but_the_target():
    table = rows(30)
    table += [copied(table, 1, "other/a.png")]
    (network,) = evaluate(table, question=ask(read_meanings(None, [], ["other"]))).networks
    assert network.contradicting.number == 0


def test_where_the_bytes_are_not_known_nothing_contradicts():
    (network,) = evaluate([one | {"sha256": ""} for one in rows(6)]).networks
    assert network.contradicting.number == 0


def test_where_all_labels_contradict_each_other_the_sentence_says_so():
    with pytest.raises(
        DataError, match=r"contradict each other for every picture .* such as covid/a.png as covid and n"
    ):
        evaluate([row("covid/a.png"), row("covid/a.png") | {"path": "normal/a.png"}])


def test_columns_to_group_by_are_found_in_any_spelling():
    table = [one | {"dicom_Geräte": "x"} for one in rows(6)]
    labels = labels_of(table, **{"Ha\u0308user": lambda _: "1"})
    for column in ("häuser", "DICOM_Gera\u0308te"):
        (network,) = evaluate(table, labels, ask(by=(GroupBy(column),))).networks
        assert {one.by for one in network.sets} == {"", column}
