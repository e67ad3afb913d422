from __future__ import annotations

import dataclasses
from array import array
from pathlib import Path

import pytest

import models
from doubles import describe
from pilotlight.description import File, Runtime
from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.runtimes import onnx
from pilotlight.signature import Input, Output, Signature
from pilotlight.tensor import FP32, FP64, Tensor

PLAIN = Signature(
    (Input("signal", FP32, (-1, 2, 3), "tensor"),),
    (Output("doubled", FP32, (-1, 2, 3), "tensor"), Output("sums", FP32, (-1, 2), "tensor")),
)


def load(file: Path, signature: Signature, packages: dict[str, str] | None = None) -> onnx.OnnxModel:
    content = file.read_bytes()
    model = dataclasses.replace(
        describe(signature, content),
        files=(File(file.name, len(content), "0" * 64),),
        runtime=Runtime("onnx", "onnxruntime-python", packages or {}),
    )
    return onnx.load(model, file.parent, threads=1)


def test_a_session_gives_what_the_graph_says(tmp_path: Path) -> None:
    model = load(models.plain_tensors(tmp_path), PLAIN)
    doubled, sums = model.predict([Tensor(FP32, (1, 2, 3), array("f", range(6)))])
    assert (doubled.shape, doubled.values()) == ((1, 2, 3), [0, 2, 4, 6, 8, 10])
    assert (sums.shape, sums.values()) == ((1, 2), [3, 12])


@pytest.mark.parametrize(
    "signature",
    [
        Signature((Input("noise", FP32, (-1, 2, 3), "tensor"),), PLAIN.outputs),
        Signature((Input("signal", FP64, (-1, 2, 3), "tensor"),), PLAIN.outputs),
        Signature(PLAIN.inputs, (Output("sums", FP64, (-1, 2), "tensor"),)),
        Signature(PLAIN.inputs, (Output("totals", FP32, (-1, 2), "tensor"),)),
    ],
)
def test_a_signature_that_is_not_the_models_fails_the_load_and_not_each_request(
    signature: Signature, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"the signature has the (in|out)put .* and the model has"):
        load(models.plain_tensors(tmp_path), signature)


def test_another_version_of_the_library_than_the_locks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMismatch, match="the lock names 0.0.1; install what requirements.lock pins"):
        load(models.plain_tensors(tmp_path), PLAIN, {"onnxruntime": "0.0.1"})
