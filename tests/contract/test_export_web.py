"""The exported page in a real browser: the pinned model without a function, and no network but its own server."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from contract.test_page_inputs import findings
from pilotlight.codec.golden_requests import to_request
from pilotlight.model.golden import read_golden
from pilotlight.model.lock import load_lock
from pilotlight_cli.exporting.web import ExportRefused, export
from pilotlight_cli.stores import open_store
from repository import LOCK, SAMPLE

ANSWER = """
const [path, body, done] = arguments;
post(path, body).then(done, error => done({error: error.message, path: error.path}));
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, onnxruntime_web: Path) -> Path:
    made = tmp_path_factory.mktemp("web") / "page"
    export(LOCK, open_store((SAMPLE / "store").as_uri()), onnxruntime_web, made)
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def asked(browser: Chrome, route: str, body: str) -> dict[str, Any]:
    browser.set_script_timeout(60)
    reply: dict[str, Any] = browser.execute_async_script(ANSWER, route, body)
    return reply


def test_the_golden_samples_are_answered_by_the_page_alone(browser: Chrome, url: str) -> None:
    browser.get(url)
    browser.get_log("performance")  # type: ignore[no-untyped-call]
    model, rows = load_lock(LOCK).model, 0
    for sample in read_golden((SAMPLE / "golden.json").read_bytes()).samples:
        request = to_request(model.signature, sample)
        assert request
        instances = request.body["instances"]
        labels, probabilities = (values.data for values in sample.outputs)
        batch = asked(browser, "/predict_batch", json.dumps({"instances": instances}))
        assert batch["predictions"] == list(labels)
        found = [value for row in batch["probabilities"] for value in row]
        assert found == pytest.approx(list(probabilities), abs=1e-5)
        one = asked(browser, "/predict", json.dumps({"features": instances[0]}))
        assert one == {
            "prediction": labels[0],
            "probability": batch["probabilities"][0][1],
            "probabilities": batch["probabilities"][0],
            "model_name": "breast-cancer",
            "model_version": 1,
        }
        rows += len(instances)
    assert rows >= 4
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert all(name.startswith((url, "data:", "blob:")) for name in loaded)


def test_the_form_predicts_and_axe_finds_nothing(browser: Chrome, axe: str, url: str) -> None:
    browser.get(url)
    browser.find_element(By.ID, "send").click()
    WebDriverWait(browser, 60).until(
        lambda _: browser.find_element(By.ID, "prediction").text in ("malignant", "benign")
    )
    assert browser.find_element(By.ID, "curl").is_displayed() is False
    assert findings(browser, axe) == []


@pytest.mark.parametrize(
    ("features", "path", "message"),
    [
        ("[1, 2]", "$.features", "expected 30 features"),
        (str([*[1.0] * 29, "x"]).replace("'", '"'), "$.features[29]", 'expected a number, found "x"'),
        (str([*[1.0] * 29, 1e39]), "$.features[29]", "number is out of range for FP32, found 1e+39"),
        (str([*[1.0] * 29]).replace("]", ", null]"), "$.features[29]", "expected a number, found null"),
    ],
)
def test_what_the_function_refuses_the_page_refuses(
    browser: Chrome, url: str, features: str, path: str, message: str
) -> None:
    browser.get(url)
    reply = asked(browser, "/predict", f'{{"features": {features}}}')
    assert reply == {"error": message, "path": path}


def test_a_changed_model_is_refused_with_both_digests(browser: Chrome, url: str, folder: Path) -> None:
    file = folder / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        browser.get(f"{url}?changed")
        browser.refresh()
        reply = asked(browser, "/predict", '{"features": []}')
    finally:
        file.write_bytes(content)
    assert reply["error"].startswith("model.onnx has SHA-256 ")
    assert load_lock(LOCK).model.files[0].sha256 in reply["error"]


def test_another_version_of_the_runtime_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.20.0"}')
    with pytest.raises(ExportRefused, match=r"has onnxruntime-web 1.20.0, expected onnxruntime-web 1\.31\.1"):
        export(LOCK, open_store((SAMPLE / "store").as_uri()), tmp_path, tmp_path / "page")
    assert not (tmp_path / "page").exists()
