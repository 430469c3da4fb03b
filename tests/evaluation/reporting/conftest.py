import pytest

from cxr.evaluation.records import Report
from cxr.evaluation.reporting.page import render_html
from tests.evaluation.reporting.fake import pictures, report


@pytest.fixture(scope="session")
def whole() -> Report:
    return report()


@pytest.fixture(scope="session")
def html(whole: Report) -> str:
    return render_html(whole, pictures(whole))
