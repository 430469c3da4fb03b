from typing import Any

import pytest

from cxr.evaluation.reporting.render import render_html
from tests.evaluation.reporting.fake import pictures, report


@pytest.fixture(scope="session")
def whole() -> dict[str, Any]:
    return report()


@pytest.fixture(scope="session")
def html(whole: dict[str, Any]) -> str:
    return render_html(whole, pictures(whole))
