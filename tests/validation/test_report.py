import csv
import io
import re

import pytest

from cxr.validation.external import ALL, UNSEEN
from cxr.validation.grouping import GroupBy, parse_prevalences
from cxr.validation.report import TIDY, render_markdown, tidy_table, write_redcap_figures
from tests.redcap import read_redcap
from tests.validation.tables import rows
from tests.validation.test_external import ask, evaluate, labels_of, trained


@pytest.fixture(scope="module")
def report():
    table = trained(rows(60), 0, 7)
    labels = labels_of(table, site=lambda number: f"Site {number % 2}")
    return evaluate(table, labels, ask(by=(GroupBy("site"),), prevalences=(0.02,), seed=1))


def test_a_network_that_is_worse_than_always_the_same_answer_is_below_it():
    table = [one | {"path": f"normal/{number}.png"} for number, one in enumerate(rows(40))]
    table += [one | {"path": f"covid/{number}.png", "sha256": ""} for number, one in enumerate(rows(3))]
    sentence = next(line for line in render_markdown(evaluate(table)).splitlines() if line.startswith("Accuracy is"))
    assert re.fullmatch(
        r"Accuracy is \d+\.\d points \[\d.*\] below that of always answering normal \(93\.0 %\)\.", sentence
    )


def test_where_the_network_is_of_use_is_told_of_each_column(report):
    lines = [line for line in render_markdown(report).splitlines() if line.startswith("Better than acting on all")]
    start = "Better than acting on all and on none, with its whole interval, "
    columns = [line.removeprefix(start).partition(" at: ")[0] for line in lines]
    assert columns == ["of 'not trained on'", "of 'all files'"]
    alone = render_markdown(evaluate(rows(30)))
    assert re.search(r"with its whole interval, at: [\dn]", alone)


def test_a_group_whose_files_were_all_trained_on_has_no_file_and_not_an_unknown_number():
    table = trained(rows(30), *range(0, 30, 2))
    report = evaluate(table, labels_of(table, site=lambda number: "AB"[number % 2]), ask(by=(GroupBy("site"),), seed=1))
    lines = render_markdown(report).splitlines()
    assert "| A, not trained on | 0 | 0 | - | - | - | - |" in lines
    (none,) = (one for one in report.networks[0].sets if (one.files, one.group) == (UNSEEN, "A"))
    assert (none.n, {figure.metric for figure in none.figures}) == (0, {"files", "answered", "files_of"})


def test_an_auc_without_an_interval_is_explained_and_others_are_not():
    words = "An AUC without an interval"
    apart = [one | {"decision": "not_suspected"} for one in rows(30, skill=40)]
    assert words in render_markdown(evaluate(apart, question=ask(target="covid")))
    assert words not in render_markdown(evaluate(rows(60, skill=1)))


def one_sided(target, n=12):
    """Return answers about files that are all covid, or none of which is."""
    return [one for one in rows(n * 3) if one["path"].startswith("covid/") == (target == "covid")]


NEEDS_BOTH = re.compile(r"auc|average_precision|ppv|npv|brier|calibration|ece|net_benefit")


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("side", ["covid", "rest"])
def test_without_files_of_both_kinds_what_needs_them_is_not_given_and_the_sentence_says_why(tmp_path, side, decided):
    table = [one if decided else one | {"decision": "", "refer_reason": ""} for one in one_sided(side)]
    report = evaluate(table, question=ask(target="covid", prevalences=(0.02,), seed=1))
    text, (network,) = render_markdown(report), report.networks
    assert ("All files are covid: AUC" if side == "covid" else "No file is covid: AUC") in text
    assert "PPV and NPV hold only where" not in text
    assert "Better than acting on all" not in text
    lines = [line for line in text.splitlines() if line.startswith(("| PPV, ", "| NPV, ", "| AUC", "| average"))]
    of_target = lines if side == "covid" else lines[:4]
    assert len(of_target) == 4
    assert all(re.fullmatch(r"\|[^|]+\| -(, 0/0)? \|", line) for line in of_target)
    write_redcap_figures(tmp_path / "out.csv", report)
    for found in (list(csv.DictReader(io.StringIO(tidy_table(report)))), read_redcap(tmp_path / "out.csv")[0]):
        known = [one for one in found if "covid" in (one.get("class"), one.get("class_name"))]
        empty = {one["metric"] for one in known if not (one["estimate"] or one["lower"])}
        assert {"auc", "average_precision", "brier", "ppv_at_prevalence"} <= empty
        assert {one["metric"] for one in known if NEEDS_BOTH.match(one["metric"])} - empty <= {
            f"{metric}_among_classes" for metric in ("auc", "ppv", "npv")
        }
    assert not network.curves.precision_recall.recall
    assert all(point.ppv is None for point in network.curves.points)
    assert not network.curves.reliability


def test_where_one_column_alone_has_files_of_both_kinds_each_says_so():
    table = trained([*one_sided("covid"), *one_sided("rest", 3)], *range(12, 18))
    text = render_markdown(evaluate(table))
    assert "All files in the column 'not trained on' are covid: AUC, average precision, PPV, NPV" in text
    assert "PPV and NPV hold only where 66.7 % of the files are covid, as in the column 'all files'" in text


def test_where_one_side_has_no_answer_the_sentence_says_so():
    lost = [one | {"path": f"normal/{number}.png"} for number, one in enumerate(one_sided("covid", 3))]
    blank = {name: "" for name in lost[0] if name.startswith(("prediction", "probability", "decision", "refer", "sha"))}
    blank["status"] = "error"
    text = render_markdown(evaluate([*one_sided("covid"), *(one | blank for one in lost)]))
    assert "All files with an answer are covid: AUC, average precision, calibration and net benefit need" in text


def test_a_class_without_files_has_no_predictive_values():
    lines = render_markdown(evaluate([one for one in rows(60) if "viral" not in one["path"]])).splitlines()
    for words in ("PPV, %", "NPV, %"):
        assert next(line for line in lines if line.startswith(f"| {words}")).endswith("| - |")


def test_no_figure_of_redcap_comes_twice_whatever_is_asked_for_twice(tmp_path):
    table = rows(30)
    labels = labels_of(table, age=lambda number: "" if number == 7 else str(number))
    by = (GroupBy("age", (5.0,)), GroupBy("AGE", (5.0, 20.0)), GroupBy("age", (5.0,)))
    report = evaluate(table, labels, ask(by=by, prevalences=parse_prevalences("2%,0.02"), seed=1))
    write_redcap_figures(tmp_path / "out.csv", report)
    records = [one["record_id"] for one in read_redcap(tmp_path / "out.csv")[0]]
    assert len(set(records)) == len(records)
    assert sum(line.startswith("| below 5 |") for line in render_markdown(report).splitlines()) == 1
    assert sum(line.startswith("| 2 % |") for line in render_markdown(report).splitlines()) == 1


def test_tidy_has_a_row_a_figure_of_both_sets_and_every_group(report):
    found = list(csv.DictReader(io.StringIO(tidy_table(report))))
    assert tuple(found[0]) == TIDY
    keys = [tuple(one[name] for name in TIDY[:7]) for one in found]
    assert len(set(keys)) == len(keys)
    assert {(one["files"], one["group"]) for one in found} == {
        (files, group) for files in (ALL, UNSEEN) for group in ("", "Site 0", "Site 1")
    }
    (ppv,) = (one for one in found if (one["metric"], one["files"], one["group"]) == ("ppv_at_prevalence", UNSEEN, ""))
    assert (ppv["class"], ppv["at"], ppv["method"]) == ("covid", "0.02", "mover_wilson")
    assert float(ppv["lower"]) <= float(ppv["estimate"]) <= float(ppv["upper"])
    assert all(re.fullmatch("[a-z0-9_]+", one["metric"]) for one in found)
    assert "nan" not in tidy_table(report)


def test_every_figure_is_a_record_of_redcap(report, tmp_path):
    write_redcap_figures(tmp_path / "out.csv", report)
    records, fields = read_redcap(tmp_path / "out.csv")
    tidy = list(csv.DictReader(io.StringIO(tidy_table(report))))
    assert len(records) == len(tidy) == len({one["record_id"] for one in records})
    assert [one["estimate"] for one in records] == [one["estimate"] for one in tidy]
    assert {one["class_name"] for one in records} == {one["class"] for one in tidy}
    assert fields["estimate"]["Text Validation Type OR Show Slider Number"] == "number"
    first = (tmp_path / "out.csv").read_bytes()
    write_redcap_figures(tmp_path / "out.csv", report)
    assert (tmp_path / "out.csv").read_bytes() == first


def test_no_sentence_is_made_of_what_is_not_known():
    for table in (
        rows(1),
        trained(rows(3), 0, 1, 2),
        [one | {"decision": "refer", "refer_reason": "empty_set"} for one in rows(3)],
    ):
        for line in render_markdown(evaluate(table, question=ask(target="covid"))).splitlines():
            if not line.startswith(("|", "#")):
                assert not re.search(r"not measured|unknown|None| - |-\d|\bnan\b", line), line


def test_where_all_files_are_of_training_what_was_asked_for_is_shown_all_the_same():
    table = trained(rows(20), *range(20))
    text = render_markdown(evaluate(table, question=ask(prevalences=(0.02,))))
    assert "trained on all of these files" in text
    assert "predictive values where covid has another share" in text
    assert "not trained on |" not in text
