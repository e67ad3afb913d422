"""The page of `pilotlight serve`, in a real browser, on the real function of each cloud."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import visibility_of_element_located
from selenium.webdriver.support.ui import WebDriverWait

from pilotlight.model.golden import read_golden
from pilotlight.model.lock import load_lock
from pilotlight_cli.local.front import with_page
from pilotlight_cli.local.page import page
from pilotlight_cli.local.server import serving


@pytest.fixture(scope="module", params=["aws", "gcp"])
def url(request: pytest.FixtureRequest, lock: Path, store: str) -> Iterator[str]:
    document = page(load_lock(lock).model, read_golden(lock.with_name("golden.json").read_bytes()))
    in_front = partial(with_page, page=lambda _: document)
    with serving(request.param, lock, store, in_front=in_front) as server:
        yield server.url


def logged(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """Return the browser's new entries in one of its logs."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


@pytest.fixture
def opened(browser: Chrome, url: str) -> Chrome:
    browser.get(f"{url}/docs")
    for kind in ("browser", "performance"):
        logged(browser, kind)  # what pages before this one left there
    return browser


def press(browser: Chrome) -> None:
    browser.find_element(By.ID, "send").click()


def shown(browser: Chrome, element: str) -> str:
    return WebDriverWait(browser, 60).until(visibility_of_element_located((By.ID, element))).text


def test_the_filled_in_form_gives_the_prediction_with_a_bar_for_each_class(opened: Chrome) -> None:
    fields = opened.find_elements(By.CSS_SELECTOR, "#fields input")
    assert (len(fields), fields[0].get_attribute("value")) == (30, "14.78")
    press(opened)
    assert shown(opened, "bars").split() == ["malignant", "0.9688", "benign", "0.0313"]
    assert shown(opened, "prediction") == "malignant"
    first, second = (bar.size["width"] for bar in opened.find_elements(By.CSS_SELECTOR, ".track i"))
    assert first > 20 * second > 0
    assert logged(opened, "browser") == []


def test_a_field_that_the_function_refuses_is_marked_and_the_sentence_shown(opened: Chrome) -> None:
    field = opened.find_element(By.NAME, "mean area")
    field.clear()
    field.send_keys("abc")
    press(opened)
    assert shown(opened, "error") == '$.features["mean area"]: expected a number (FP32), found "abc"'
    (marked,) = opened.find_elements(By.CSS_SELECTOR, ".wrong input")
    assert marked.get_attribute("name") == "mean area"
    assert not opened.find_element(By.ID, "bars").is_displayed()


def test_the_next_sample_is_filled_in_and_answered(opened: Chrome) -> None:
    opened.find_element(By.ID, "next").click()
    assert opened.find_element(By.ID, "which").text == "golden sample 2 of 8"
    press(opened)
    shown(opened, "bars")
    assert shown(opened, "prediction") == "benign"


def test_the_line_to_copy_asks_the_same_in_a_terminal(opened: Chrome) -> None:
    command = shlex.split(opened.find_element(By.ID, "curl").text)
    answer = subprocess.run([*command, "--silent"], capture_output=True, check=True)
    assert json.loads(answer.stdout)["prediction"] == "malignant"


def test_the_page_asks_nobody_but_its_own_server(opened: Chrome, url: str) -> None:
    opened.get(f"{url}/docs")
    press(opened)
    shown(opened, "bars")
    messages = [json.loads(entry["message"])["message"] for entry in logged(opened, "performance")]
    asked = {entry["params"]["request"]["url"] for entry in messages if entry["method"] == "Network.requestWillBeSent"}
    assert {f"{url}/docs", f"{url}/predict"} <= asked
    assert not [address for address in asked if re.match("http", address) and not address.startswith(url)]
