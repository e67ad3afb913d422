"""A model of several files, optimised, published, pinned, copied to each cloud's own store, and served from there."""

from __future__ import annotations

from dataclasses import replace
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
from pilotlight_cli.registry.versions import show
from pilotlight_cli.stores import open_store

WIDTHS = (1024, 2048, 1536, 3)  # 21 MB: more than S3 gets in one part


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dense")


@pytest.fixture(scope="module")
def model(folder: Path) -> Pinned:
    mlp(folder / "dense.onnx", widths=WIDTHS)
    report = optimize(
        folder / "dense.onnx", folder / "out", signature=None, golden=None, requests=1, rounds=2, step=lambda _: None
    )
    assert report.improved
    return pinned(report.file, "dense", folder)


def test_the_lock_has_all_files_and_the_session(model: Pinned) -> None:
    assert [file.name for file in model.model.files] == ["model.onnx", "model.data"]
    assert model.model.files[1].size > 20_000_000
    assert model.model.runtime.session == Session("off", prepacking=False)


def test_it_is_verified_from_the_cloud_s_own_store(cloud: str, model: Pinned) -> None:
    with stored(cloud, model) as store, acting_in(store.environ):
        report = verify(model.lock, store.url, cloud)

        assert report.ok, report
        size = sum(file.size for file in model.model.files)
        assert any(f"2 file(s) of {size} bytes have the pinned digests" in check.detail for check in report.checks)
        published = show(open_store(store.url), "dense", 1).model
        assert replace(published, runtime=model.model.runtime) == model.model  # the engine is chosen by who pins
        assert published.runtime.session == model.model.runtime.session


def test_it_answers_as_the_model_that_it_was_made_from(cloud: str, model: Pinned, folder: Path) -> None:
    row = np.random.default_rng(7).standard_normal((1, WIDTHS[0]), np.float32)
    body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, WIDTHS[0]], "data": row.ravel().tolist()}]}

    with serving(cloud, model.lock, model.store.url) as server:
        answer = send(server.url, "/v2/models/dense/infer", body)

    expected = run_onnx(folder / "dense.onnx", {"features": row})["scores"]
    assert answer.status == 200
    assert np.allclose(answer.document["outputs"][0]["data"], expected.ravel(), atol=1e-6)
