"""A model with a module of its own: published by the command, pinned with a warning, served on both clouds."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

import drivers
from contract.conftest import _core
from harness import Pinned, in_functions_framework, in_lambda, stored
from own_modules import importable, write_module
from pilotlight_cli.formats.admitted import NotAdmitted
from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.main import app
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.stores import open_store
from published.table import NUMBERS, VALUES


def test_a_model_with_a_module_of_its_own_is_served_on_both_clouds(tmp_path: Path) -> None:
    module = write_module(tmp_path, "own_steps", package=True)
    with importable(module) as own:
        model = make_pipeline(own.Ratios(), Ridge()).fit(NUMBERS, VALUES)
        expected = model.predict(NUMBERS[:50]).tolist()
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model, 5))
    url = (tmp_path / "store").as_uri()
    arguments = ["publish", str(tmp_path / "model.pkl"), "--name", "own", "--store", url, "--with-module", str(module)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "the function will run your own module, own_steps.zip: own_steps.steps.Ratios" in " ".join(
        result.output.split()
    )
    lock = tmp_path / "pins" / "model.lock"
    lock.parent.mkdir()
    pinned = pin(open_store(url), "own", lock)
    digest = pinned.lock.model.files[1].sha256
    assert any(
        f"the function runs the publisher's own module own_steps, own_steps.zip with SHA-256 {digest}" in warning
        for warning in pinned.warnings
    )
    served = Pinned(lock, open_store(url))
    body = json.dumps({"instances": NUMBERS[:50].tolist()}).encode()
    ways = [drivers.core(_core(served, tmp_path / "tmp"))]
    with (
        stored("aws", served) as aws,
        stored("gcp", served) as gcp,
        in_lambda(served, aws) as on_aws,
        gateway(on_aws.invoke) as address,
        in_functions_framework(served, gcp) as on_gcp,
    ):
        for send in (*ways, drivers.http(address), drivers.http(on_gcp.url)):
            reply = send("POST", "/predict_batch", {"content-type": "application/json"}, body)
            assert reply.status == 200, reply.body[:500]
            assert json.loads(reply.body)["predictions"] == pytest.approx(expected)


def test_a_manifest_cannot_bring_code_that_its_publisher_did_not_show(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Ridge().fit(NUMBERS, VALUES), 5))
    url = (tmp_path / "store").as_uri()
    result = CliRunner().invoke(app, ["publish", str(tmp_path / "model.pkl"), "--name", "own", "--store", url])
    assert result.exit_code == 0, result.output
    manifest = tmp_path / "store" / "own" / "1" / "manifest.json"
    document = json.loads(manifest.read_bytes())
    document["artifact"]["files"].append({"name": "orjson.zip", "size": 1, "sha256": "0" * 64})
    manifest.write_text(json.dumps(document))
    with pytest.raises(NotAdmitted, match=r"own:1 has the file orjson\.zip, expected only sources of modules"):
        pin(open_store(url), "own", tmp_path / "model.lock")
