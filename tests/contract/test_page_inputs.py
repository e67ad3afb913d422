"""What the page of `pilotlight serve` takes, in a real browser: rows, images, texts, and a second model to compare."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of, visibility_of_element_located
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness import Pinned, pinned
from onnx_models import cells, identity, plus
from pilotlight.model.golden import read_golden
from pilotlight_cli.local.server import serving
from pilotlight_cli.local.versions import Served, versions_of

KINDS = {"age": "FP64", "city": "BYTES"}
PATIENTS = 'name,age,city\r\n"Ann, A.",41.50,Bern\r\nBob,,\r\n'

# An image of one red pixel, as PNG.
RED = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


@contextmanager
def served(model: Pinned, compared: str = "") -> Iterator[str]:
    """Serve a model, and one of its store beside it; give the URL of the page."""
    pinned = Served(model.model, read_golden(model.lock.with_name("golden.json").read_bytes()))
    with (
        versions_of(pinned, "gcp", model.lock, model.store.url, compared) as versions,
        serving("gcp", model.lock, model.store.url, in_front=versions.in_front) as server,
    ):
        yield f"{server.url}/docs"


def with_signature(folder: Path, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / "signature.json"
    path.write_text(json.dumps({"inputs": inputs, "outputs": outputs}))
    return path


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model of two columns that may be missing, and two outputs."""
    folder = tmp_path_factory.mktemp("patients")
    inputs = [
        {"name": name, "datatype": kind, "shape": [-1, 1], "role": "features", "missing": True}
        for name, kind in KINDS.items()
    ]
    outputs = [
        {"name": f"{name}_out", "datatype": kind, "shape": [-1, 1], "role": "tensor"} for name, kind in KINDS.items()
    ]
    signature = with_signature(folder, inputs, outputs)
    with served(pinned(cells(folder, KINDS), "patients", folder, signature=signature)) as url:
        yield url


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model that gives an image back."""
    folder = tmp_path_factory.mktemp("pictures")
    with served(pinned(identity(folder, TensorProto.FLOAT, "N", 3, 2, 2), "pictures", folder)) as url:
        yield url


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve two models of a store that differ by one."""
    folder = tmp_path_factory.mktemp("two")
    pinned(plus(folder, 2), "others", folder)
    with served(pinned(plus(folder, 1), "sums", folder), "others:1") as url:
        yield url


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the second of three versions, of which version N adds N; the file of the third is gone."""
    folder = tmp_path_factory.mktemp("versions")
    for number in (1, 2, 3):
        model = pinned(plus(folder, number), "sums", folder, lock=str(number))
    (folder / "store/sums/3/model.onnx").unlink()
    with served(Pinned(model.lock.parents[1] / "2" / "model.lock", model.store)) as url:
        yield url


def shown(browser: Chrome, element: str) -> str:
    return WebDriverWait(browser, 60).until(visibility_of_element_located((By.ID, element))).text


def predict(browser: Chrome, **values: str) -> None:
    for name, value in values.items():
        control = browser.find_element(By.NAME, name)
        control.clear()
        control.send_keys(value)
    browser.find_element(By.ID, "send").click()
    shown(browser, "took")


def choose(browser: Chrome, control: str, file: Path, content: str | bytes) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    browser.find_element(By.ID, control).send_keys(str(file))


def cells_of(browser: Chrome, selector: str) -> list[list[str]]:
    rows = browser.find_elements(By.CSS_SELECTOR, f"{selector} tr")
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]


def findings(browser: Chrome, axe: str) -> list[str]:
    """Return what axe-core finds in the page, light and wide or dark and narrow, and whether it overflows."""
    found = []
    for scheme, width in (("light", 1200), ("dark", 375)):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.execute_script(axe)
        report = browser.execute_async_script("axe.run().then(arguments[0])")
        found += [f"{scheme}: {one['id']}: {one['nodes'][0]['html']}" for one in report["violations"]]
        assert report["passes"]
        if browser.execute_script("return document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{scheme}: wider than {width} pixels")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


def test_a_field_left_empty_is_a_missing_value_and_outputs_have_their_names(browser: Chrome, patients: str) -> None:
    browser.get(patients)
    predict(browser, age="41.50", city="")
    assert '{"age": 41.50, "city": null}' in browser.find_element(By.ID, "curl").text
    assert cells_of(browser, "#others") == [["age_out", "41.5"], ["city_out", ""]]


def test_the_rows_of_a_csv_file_are_scored_and_the_other_columns_kept(
    browser: Chrome, patients: str, tmp_path: Path
) -> None:
    browser.get(patients)
    choose(browser, "csv", tmp_path / "patients.csv", PATIENTS)
    shown(browser, "scroll")
    assert browser.find_element(By.ID, "scored").text == "2 rows of patients.csv"
    assert cells_of(browser, "#table") == [
        ["row", "age_out", "city_out", "name", "age", "city"],
        ["1", "41.5", "Bern", "Ann, A.", "41.50", "Bern"],
        ["2", "null", "", "Bob", "", ""],
    ]
    saved = browser.execute_script("return scoredLines.map(cells => cells.map(csvCell).join(',')).join('\\n')")
    assert saved.splitlines()[1] == '"Ann, A.",41.50,Bern,41.5,Bern'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("age\r\n1\r\n", 'the file lacks the column "city"'),
        ("age,city\n1\n", "row 1: expected 2 cells, found 1"),
        ("age,city\n", "expected a line of column names and at least one line of values"),
        ("age,city\nold,Bern\n", '$.instances[0].age: expected a number (FP64), found "old"'),
    ],
)
def test_a_csv_file_that_cannot_be_scored_says_why(
    browser: Chrome, patients: str, content: str, problem: str, tmp_path: Path
) -> None:
    browser.get(patients)
    choose(browser, "csv", tmp_path / "rows.csv", content)
    assert shown(browser, "rows-error") == f"rows.csv: {problem}"


def test_an_image_is_drawn_to_the_inputs_size_and_its_channels_scaled(
    browser: Chrome, pictures: str, tmp_path: Path
) -> None:
    browser.get(pictures)
    choose(browser, "image", tmp_path / "red.png", RED)
    shown(browser, "canvas")
    predict(browser)
    assert json.loads(browser.find_element(By.ID, "prediction").text) == [
        [[1, 1], [1, 1]],
        [[0, 0], [0, 0]],
        [[0, 0], [0, 0]],
    ]
    assert browser.find_element(By.ID, "pictured").text == (
        "Sent as 2 \u00d7 2 pixels: 3 channels (RGB), then rows; values 0 to 1 (divided by 255)"
    )


def test_a_single_text_has_a_text_area(browser: Chrome, tmp_path: Path) -> None:
    signature = with_signature(
        tmp_path,
        [{"name": "text", "datatype": "BYTES", "shape": [-1, 1], "role": "features"}],
        [{"name": "text_out", "datatype": "BYTES", "shape": [-1, 1], "role": "tensor"}],
    )
    with served(pinned(cells(tmp_path, {"text": "BYTES"}), "texts", tmp_path, signature=signature)) as url:
        browser.get(url)
        assert browser.find_element(By.NAME, "text").tag_name == "textarea"
        predict(browser, text='one\ntwo "three"')
        assert browser.find_element(By.ID, "prediction").text == 'one\ntwo "three"'


def test_both_models_answer_and_rows_that_differ_are_counted(browser: Chrome, two: str, tmp_path: Path) -> None:
    browser.get(two)
    predict(browser, f0="1", f1="2", f2="3")
    shown(browser, "second-took")
    assert browser.find_element(By.ID, "second-prediction").text == "[3,4,5]"
    assert browser.find_element(By.ID, "prediction").text == "[2,3,4]"
    headings = [browser.find_element(By.ID, name).text.lower() for name in ("answer", "second-name")]
    assert headings == ["prediction of sums:1", "prediction of others:1"]
    choose(browser, "csv", tmp_path / "rows.csv", "f0,f1,f2\n1,2,3\n")
    shown(browser, "scroll")
    assert browser.find_element(By.ID, "scored").text == "1 row of rows.csv, 1 with different predictions"
    assert cells_of(browser, "#table")[1] == ["1", "[2,3,4]", "[3,4,5]", "1", "2", "3"]


def show(browser: Chrome, version: str, beside: str) -> None:
    """Choose versions in the page that is open, and wait for what comes of it."""
    before = browser.find_element(By.TAG_NAME, "html")
    for control, name in (("version", version), ("beside", beside)):
        Select(browser.find_element(By.ID, control)).select_by_value(name)
    browser.find_element(By.ID, "choose").click()
    refused = visibility_of_element_located((By.ID, "versions-error"))
    WebDriverWait(browser, 60).until(lambda found: staleness_of(before)(found) or refused(found))


def test_any_published_version_can_be_chosen_and_answers_what_was_typed(browser: Chrome, versions: str) -> None:
    browser.get(versions)
    options = [option.text for option in Select(browser.find_element(By.ID, "version")).options]
    assert options == ["sums:3", "sums:2 (pinned)", "sums:1"]
    predict(browser, f0="1", f1="2", f2="3")
    assert browser.find_element(By.ID, "prediction").text == "[3,4,5]"
    show(browser, "sums:1", "")
    assert browser.find_element(By.ID, "name").text == "sums:1"
    predict(browser)
    assert browser.find_element(By.ID, "prediction").text == "[2,3,4]"
    command = browser.find_element(By.ID, "curl").text
    assert f"{versions}/versions/sums:1/predict" in command
    assert '{"f0": 1, "f1": 2, "f2": 3}' in command
    show(browser, "sums:1", "sums:2")
    predict(browser)
    assert shown(browser, "second-prediction") == "[3,4,5]"


def test_a_version_that_does_not_start_says_why_and_the_page_stays(browser: Chrome, axe: str, versions: str) -> None:
    browser.get(versions)
    show(browser, "sums:3", "")
    assert "sums/3/model.onnx" in shown(browser, "versions-error")
    predict(browser, f0="1", f1="2", f2="3")
    assert browser.find_element(By.ID, "prediction").text == "[3,4,5]"
    assert findings(browser, axe) == []


def test_the_page_can_be_used_by_keyboard_alone(browser: Chrome, two: str) -> None:
    browser.get(two)

    def press(*keys: str) -> str:
        ActionChains(browser).send_keys(*keys).perform()
        active = browser.switch_to.active_element
        return active.get_attribute("id") or active.get_attribute("name") or ""

    stops = [press(Keys.TAB) for _ in range(12)]
    assert stops == ["version", "beside", "choose", "f0", "f1", "f2", "send", "next", "curl", "copy", "openapi", "csv"]
    browser.get(two)
    press(*[Keys.TAB] * 4, "1", Keys.TAB, "2", Keys.TAB, "3", Keys.ENTER)  # Tab selects what is in a field
    shown(browser, "took")
    assert browser.find_element(By.ID, "prediction").text == "[2,3,4]"


def test_axe_finds_nothing_in_two_answers_and_scored_rows(browser: Chrome, axe: str, two: str, tmp_path: Path) -> None:
    browser.get(two)
    predict(browser)
    shown(browser, "second-took")
    choose(browser, "csv", tmp_path / "rows.csv", "f0,f1,f2\n1,2,3\n")
    shown(browser, "scroll")
    assert findings(browser, axe) == []


def test_axe_finds_nothing_in_several_outputs_and_a_refused_file(
    browser: Chrome, axe: str, patients: str, tmp_path: Path
) -> None:
    browser.get(patients)
    predict(browser)
    choose(browser, "csv", tmp_path / "rows.csv", "age\n1\n")
    shown(browser, "rows-error")
    assert findings(browser, axe) == []


def test_axe_finds_nothing_beside_an_image(browser: Chrome, axe: str, pictures: str, tmp_path: Path) -> None:
    browser.get(pictures)
    choose(browser, "image", tmp_path / "red.png", RED)
    shown(browser, "canvas")
    assert findings(browser, axe) == []
