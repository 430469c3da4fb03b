import pytest

from cxr.core.audit import Audit, Result, stop_unless_waived, waive
from cxr.core.errors import AuditError, ParamsError


def record(id="leak", result=Result.FAIL, fixable=True, model=None):
    return Audit(id, "A leak", fixable=fixable).record(result, "2 pictures leak.", "Any fails.", {}, model)


def test_a_failure_without_waiver_stops_and_says_how_to_waive():
    with pytest.raises(AuditError, match=r"A leak: 2 pictures leak\..*params\.yaml: split\.waivers\.leak: why"):
        stop_unless_waived(waive([record()], {}), "split")


def test_a_waived_failure_goes_on_and_carries_its_reason():
    waived = waive([record()], {"leak": "known since May"})
    stop_unless_waived(waived, "split")
    assert waived[0].waiver == "known since May"
    assert waived[0].result == "fail"


@pytest.mark.parametrize("result", [Result.PASS, Result.WARN, Result.NOT_MEASURABLE, Result.NOT_APPLICABLE])
def test_only_failures_stop_and_only_they_are_waived(result):
    waived = waive([record(result=result)], {"leak": "just in case"})
    stop_unless_waived(waived)
    assert waived[0].waiver is None


def test_what_cannot_be_put_right_never_stops():
    stop_unless_waived(waive([record(fixable=False)], {}))


def test_one_waived_failure_does_not_excuse_another():
    waived = waive([record("one"), record("two", model="cnn1")], {"one": "known"})
    with pytest.raises(AuditError, match=r"A leak of cnn1") as caught:
        stop_unless_waived(waived, "evaluate")
    assert "evaluate.waivers.one" not in str(caught.value)
    assert "evaluate.waivers.two: why" in str(caught.value)


def test_a_misspelt_waiver_is_refused_with_the_names_that_exist():
    with pytest.raises(ParamsError, match=r"waivers for laek, which this stage does not audit; it audits leak"):
        waive([record()], {"laek": "known"})


def test_a_waiver_without_a_reason_is_refused():
    with pytest.raises(ParamsError, match="the waivers of leak give no reason"):
        waive([record()], {"leak": "  "})


def test_the_input_is_not_changed():
    records = [record()]
    waive(records, {"leak": "known"})
    assert records[0].waiver is None
