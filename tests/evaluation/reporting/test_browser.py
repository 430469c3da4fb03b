import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from cxr.evaluation.reporting.page import render_html
from tests.browser import browser, needs_chromium
from tests.evaluation.reporting.test_page import small

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, html: str) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


def show(driver: Any, address: str, width: int = 1280) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(address)
    until = time.monotonic() + 30
    while driver.execute_script("return document.body.dataset.charts") != "drawn" and time.monotonic() < until:
        time.sleep(0.1)


def charts(driver: Any) -> list[int]:
    return list(
        driver.execute_script(
            "return [document.querySelectorAll('.chart svg').length, document.querySelectorAll('.chart').length]"
        )
    )


def test_the_page_draws_all_charts_without_complaint_and_without_a_request(driver: Any, address: str) -> None:
    show(driver, address)
    drawn, places = charts(driver)
    assert drawn == places > 20
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert urls
    assert not [url for url in urls if not url.startswith(("file:", "data:", "about:"))]


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_never_scrolls_sideways_even_with_all_open(driver: Any, address: str, width: int) -> None:
    show(driver, address, width)
    driver.execute_script("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_first_screen_says_what_cannot_be_shown(driver: Any, address: str) -> None:
    show(driver, address, 390)
    top, bottom = driver.execute_script(
        "const box = document.querySelector('h1').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    assert 0 <= top < 60
    assert bottom < 500


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_accuracy_is_within_the_first_three_screens(driver: Any, address: str, width: int, height: int) -> None:
    show(driver, address, width)
    bottom = driver.execute_script("return document.querySelector('#models table').getBoundingClientRect().bottom")
    assert bottom < 3 * height


@pytest.mark.parametrize("form", ["SVG", "PNG"])
def test_a_chart_is_saved_as_a_file_of_its_own(driver: Any, address: str, tmp_path: Path, form: str) -> None:
    show(driver, address)
    place = {"behavior": "allow", "downloadPath": str(tmp_path)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", place)
    name = driver.execute_script("return document.querySelector('.chart').id")
    driver.execute_script(
        "[...document.querySelectorAll('.save button')].find((one) => one.textContent === arguments[0]).click()", form
    )
    path, until = tmp_path / f"{name}.{form.lower()}", time.monotonic() + 20
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.1)
    if form == "PNG":
        with Image.open(path) as picture:
            assert picture.width > 1500
            assert len(set(picture.convert("RGB").resize((64, 64)).getdata())) > 5
    else:
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_every_picture_is_shown(driver: Any, address: str) -> None:
    show(driver, address)
    widths = driver.execute_script("return [...document.querySelectorAll('.gallery img')].map((i) => i.naturalWidth)")
    assert len(widths) == 5 * 18 * 2
    assert set(widths) == {128}


def test_a_click_in_the_legend_fades_the_other_models(driver: Any, address: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    show(driver, address)

    def faded() -> int:
        return int(
            driver.execute_script(
                "return document.querySelectorAll('#chart-learning-loss path[stroke][opacity=\"0.08\"]').length"
            )
        )

    assert faded() == 0
    label = driver.find_element("css selector", "#chart-learning-loss .role-legend-label text")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", label)
    ActionChains(driver).move_to_element(label).click().perform()
    assert faded() == 6


def test_on_paper_every_chart_of_every_model_is_there(driver: Any, address: str) -> None:
    show(driver, address)
    pdf = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 100_000
    assert driver.execute_script("return [...document.querySelectorAll('details.fold')].every((fold) => fold.open)")
    drawn, places = charts(driver)
    assert drawn == places


def test_a_page_of_little_is_shown_without_complaint(driver: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.html"
    path.write_text(render_html(small(), {}), encoding="utf-8")
    show(driver, path.as_uri(), 390)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert driver.execute_script("return document.querySelectorAll('.missing').length") > 10
