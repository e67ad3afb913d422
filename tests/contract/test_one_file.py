"""A model of one file that ONNX Runtime maps, optimised, published, pinned, and served from each cloud's own store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness import Pinned, pinned, stored
from large_models import mlp
from models import run_onnx
from pilotlight.model.lock import Session
from pilotlight_cli.local import serving
from pilotlight_cli.local.client import send
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.local.verify import verify
from pilotlight_cli.optimizing import optimize

WIDTHS = (1024, 2048, 1536, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dense")


@pytest.fixture(scope="module")
def model(folder: Path) -> Pinned:
    plain = folder / "dense.onnx"
    mlp(plain, widths=WIDTHS)
    report = optimize(
        plain, folder / "out", signature=None, golden=None, requests=1, rounds=2, one_file=True, step=lambda _: None
    )
    assert report.improved
    return pinned(report.file, "dense", folder)


def test_the_lock_has_one_file_and_the_release_of_onnx_runtime(model: Pinned) -> None:
    assert (model.model.format, [file.name for file in model.model.files]) == ("ort", ["model.ort"])
    assert model.model.runtime.session == Session("off", prepacking=False)
    assert [*model.model.runtime.packages] == ["onnxruntime"]


def test_it_answers_as_the_model_that_it_was_made_from(cloud: str, model: Pinned, folder: Path) -> None:
    row = np.random.default_rng(7).standard_normal((1, WIDTHS[0]), np.float32)
    body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, WIDTHS[0]], "data": row.ravel().tolist()}]}
    with stored(cloud, model) as store, acting_in(store.environ):
        assert verify(model.lock, store.url, cloud).ok

    with serving(cloud, model.lock, model.store.url) as server:
        answer = send(server.url, "/v2/models/dense/infer", body)

    expected = run_onnx(folder / "dense.onnx", {"features": row})["scores"]
    assert answer.status == 200
    assert np.allclose(answer.document["outputs"][0]["data"], expected.ravel(), atol=1e-6)
