"""The core alone, in an environment with nothing but what the lock pins: fetched once, then offline."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from uv import find_uv_bin

from distributions import Distributions, build, plain_environment
from docs import pages
from pilotlight_cli.pinning.requirements import pins
from repository import SAMPLE

GUIDE = "docs/guides/use-as-a-library.md"

# Every golden sample through both calls, in the environment; the largest difference is printed.
COMPARE = """
import json, sys
import pilotlight
model = pilotlight.load("model.lock", store=sys.argv[1], timeout=2)
farthest, rows = 0.0, 0
for sample in json.load(open("golden.json"))["samples"]:
    (given,), (labels, probabilities) = sample["inputs"], sample["outputs"]
    width = given["shape"][1]
    instances = [given["data"][at : at + width] for at in range(0, len(given["data"]), width)]
    answer = model.predict_batch(instances)
    assert answer["predictions"] == labels["data"], answer
    found = [value for row in answer["probabilities"] for value in row]
    farthest = max([farthest, *(abs(a - b) for a, b in zip(found, probabilities["data"], strict=True))])
    assert model.predict(instances[0])["prediction"] == labels["data"][0]
    rows += len(instances)
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"rows": rows, "farthest": farthest, "modules": modules}))
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep what is asked in `server.asked` instead."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@contextmanager
def web_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a folder, and the paths that are asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def environment(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the core's wheel, and the onnxruntime that the sample's lock pins."""
    folder = tmp_path_factory.mktemp("library")
    build(distributions.tree / "shared", folder / "out", "--wheel")
    (wheel,) = (folder / "out").glob("pilotlight_core-*.whl")
    runtime = f"onnxruntime=={pins((SAMPLE / 'requirements.lock').read_text())['onnxruntime']}"
    for arguments in (
        ("venv", "--python", sys.executable, str(folder / "environment")),
        ("pip", "install", "--python", str(folder / "environment"), str(wheel), runtime),
    ):
        command = [find_uv_bin(), *arguments, "--quiet"]
        subprocess.run(command, env=plain_environment(), check=True, cwd=folder, capture_output=True)
    return folder / "environment"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file in ("model.lock", "golden.json"):
        (tmp_path / file).write_bytes((SAMPLE / file).read_bytes())
    return tmp_path


def run(
    environment: Path, project: Path, code: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = {**plain_environment(), "XDG_CACHE_HOME": str(project / "cache"), "no_proxy": "127.0.0.1", **variables}
    command = [str(environment / "bin" / "python"), "-c", code, *arguments]
    return subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)


def compared(environment: Path, project: Path, store: str) -> dict[str, Any]:
    done = run(environment, project, COMPARE, store)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_model_is_fetched_once_and_answers_its_golden_samples_offline(environment: Path, project: Path) -> None:
    with web_server(SAMPLE / "store") as (url, asked):
        first = compared(environment, project, url)
        second = compared(environment, project, url)
    assert asked == ["/breast-cancer/1/model.onnx"]
    offline = compared(environment, project, url)
    for found in (first, second, offline):
        assert found["rows"] >= 4
        assert found["farthest"] <= 1e-5
        assert not {"pilotlight_cli", "numpy", "requests", "boto3", "typer"} & {*found["modules"]}


def test_a_changed_file_is_never_used(environment: Path, project: Path) -> None:
    compared(environment, project, (SAMPLE / "store").as_uri())
    (file,) = (project / "cache").rglob("model.onnx")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = run(environment, project, COMPARE, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "StoreUnavailable: breast-cancer:1 is not in" in done.stderr
    compared(environment, project, (SAMPLE / "store").as_uri())


def test_the_guides_example_prints_what_the_function_answers(environment: Path, project: Path) -> None:
    (block,) = (block for block in pages.blocks(GUIDE, pages.read(GUIDE)) if block.language == "python")
    done = run(environment, project, block.text, STORE=(SAMPLE / "store").as_uri())
    assert done.returncode == 0, done.stderr
    title, one, batch = done.stdout.splitlines()
    assert title == "breast-cancer 1"
    answer = json.loads(one)
    assert answer.keys() == {"prediction", "probability", "probabilities", "model_name", "model_version"}
    assert json.loads(batch)["predictions"] == [answer["prediction"]] * 2


def test_a_row_that_does_not_fit_is_refused_with_its_place(environment: Path, project: Path) -> None:
    code = """
import sys
import pilotlight
from pilotlight.errors import InvalidRequest
try:
    pilotlight.load("model.lock", store=sys.argv[1]).predict_batch([[1.0] * 30, [1.0]])
except InvalidRequest as error:
    print(error.path, error)
"""
    done = run(environment, project, code, (SAMPLE / "store").as_uri())
    assert done.stdout == "$[1] expected 30 features, found 1\n", done.stderr


def test_the_wheel_has_the_core_alone_and_requires_nothing(distributions: Distributions, tmp_path: Path) -> None:
    build(distributions.tree / "shared", tmp_path, "--wheel")
    (path,) = tmp_path.glob("*.whl")
    core = {name.removeprefix("shared/") for name in distributions.files if name.startswith("shared/pilotlight/")}
    with ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    assert names == core | {"pilotlight/LICENSE", "pilotlight/NOTICE"}
    assert "Requires-Dist" not in metadata
