"""What one load of a model tells, in this process, which is not fresh but has the libraries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import models
from onnx_models import LOOKUP_GOLDEN, identity, lookup
from pilotlight.errors import ModelError
from pilotlight.model.golden import write_golden
from pilotlight.model.lock import write_runtime
from pilotlight.model.signature import write_signature
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.sandbox.child.onnx_measuring import measure
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from repository import SAMPLE


def inspected(path: Path, golden: dict[str, object] | None = None) -> Inspection:
    return inspect(path, format=None, signature=None, golden=to_bytes(golden) if golden else None, allow=())


def document(path: Path, found: Inspection, **changes: Any) -> dict[str, Any]:
    return {
        "files": [str(path)],
        "signature": write_signature(found.signature),
        "golden": write_golden(found.golden),
        "format": found.format,
        "runtime": write_runtime(found.runtime),
        "vocabulary": [],
        "outputs": str(path.with_name("outputs.npz")),
        "compare": False,
        **changes,
    }


def test_a_load_has_times_and_a_peak(tmp_path: Path) -> None:
    path = SAMPLE / "model.onnx"
    found = measure(document(path, inspected(path), outputs=str(tmp_path / "outputs.npz")))

    assert found.keys() == {"load_ms", "first_ms", "warm_ms", "peak_bytes"}
    assert found["load_ms"] > found["warm_ms"] > 0
    assert found["peak_bytes"] > 20_000_000
    assert (tmp_path / "outputs.npz").is_file()


def test_the_same_model_gives_the_same(tmp_path: Path) -> None:
    path = models.three_classes(tmp_path).files["onnx"]
    job = document(path, inspected(path))
    measure(job)
    found = measure(job | {"compare": True})
    assert (found["largest"], found["agrees"]) == (0.0, True)


def test_numbers_that_are_too_far_away_are_told(tmp_path: Path) -> None:
    plain, other = models.plain_tensors(tmp_path), tmp_path / "other.onnx"
    other.write_bytes(plain.read_bytes().replace(b"\x22\x03Add", b"\x22\x03Mul"))
    job = document(plain, inspected(plain))
    measure(job)
    found = measure(job | {"files": [str(other)], "compare": True})
    assert found["largest"] > 0.5
    assert not found["agrees"]


def test_another_label_is_no_agreement(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    path, other = (
        models.three_classes(folder, seed).files["onnx"] for folder, seed in ((tmp_path / "one", 0), (tmp_path, 5))
    )
    found = inspected(path)
    rows = replace(found.golden, generated=False)
    job = document(path, replace(found, golden=rows))
    measure(job)
    assert not measure(job | {"files": [str(other)], "compare": True})["agrees"]


def test_outputs_of_another_shape_are_no_agreement(tmp_path: Path) -> None:
    path = lookup(tmp_path)
    found = inspected(path, LOOKUP_GOLDEN)
    job = document(path, found)
    measure(job)
    golden = write_golden(found.golden)
    golden["samples"][0]["inputs"][0] |= {"shape": [2, 1], "data": [1, 1]}  # type: ignore[index]
    assert measure(job | {"golden": golden, "compare": True})["agrees"] is False


def test_strings_are_compared_whole(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.STRING, "N", 1)
    job = document(path, inspected(path), vocabulary=["Bristol"])
    measure(job)
    assert measure(job | {"compare": True})["agrees"]
    assert not measure(job | {"compare": True, "vocabulary": ["Bristol-on-Avon"]})["agrees"]


def test_strings_that_nobody_knows_are_asked_for(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.STRING, "N", 1)
    with pytest.raises(ModelError, match="no strings can be generated for this model.*with --golden"):
        measure(document(path, inspected(path)))


def test_whole_numbers_are_made_up_that_any_table_has(tmp_path: Path) -> None:
    path = lookup(tmp_path)
    found = inspected(path)
    assert set(found.golden.samples[0].inputs[0].data) == {0, 1}  # `publish` tries larger ones first
    measure(document(path, found))


def test_a_model_that_answers_no_made_up_inputs_asks_for_others(tmp_path: Path) -> None:
    path = lookup(tmp_path)
    found = inspected(path)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.array([], np.float32), "table"))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="the model fails: .*; give inputs that it accepts with --golden"):
        measure(document(path, found))
