"""A model with BF16 at its ends, published, pinned, verified and served on each cloud."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Pinned, pinned
from onnx_models import bfloat16_plus
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.local import serving
from pilotlight_cli.local.client import send
from pilotlight_cli.local.verify import verify


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    folder = tmp_path_factory.mktemp("plus")
    return pinned(bfloat16_plus(folder, 0.5), "plus", folder)


@pytest.fixture(scope="module", params=["aws", "gcp"])
def url(request: pytest.FixtureRequest, model: Pinned) -> Iterator[str]:
    with serving(request.param, model.lock, model.store.url) as server:
        yield server.url


def test_the_pin_chose_the_c_api_and_the_samples_agree(model: Pinned) -> None:
    assert model.model.runtime.engine == "onnxruntime-c"
    assert verify(model.lock, model.store.url, "aws").ok


def test_tritonclient_gets_bf16_in_bytes(url: str) -> None:
    script = Path(__file__).with_name("triton_bfloat16.py")
    done = subprocess.run(
        [*isolated_python(), str(script), url.removeprefix("http://")],
        env={"PYTHONPATH": str(host_packages(ROOT / "tools" / "clients.txt")), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_json_numbers_are_rounded_to_bf16_and_refused_where_they_overflow(url: str) -> None:
    answer = send(url, "/predict", {"features": [0.1, 259.0, -1]})
    assert (answer.status, answer.document["prediction"]) == (200, [0.6015625, 260.0, -0.5])
    refused = send(url, "/predict", {"features": [0.1, 3.4e38, -1]})
    assert (refused.status, refused.document["path"]) == (400, "$.features[1]")
    assert refused.document["error"] == "number is out of range for BF16, found 3.4e+38"


def test_v2_takes_and_gives_bf16_in_bytes_alone(url: str) -> None:
    x = {"name": "x", "datatype": "BF16", "shape": [1, 3], "data": [1, 2, 3]}
    refused = send(url, "/v2/models/plus/infer", {"inputs": [x], "parameters": {"binary_data_output": True}})
    assert (refused.status, refused.document["path"]) == (400, "$.inputs[0].data")
