from __future__ import annotations

import dataclasses
import re
import time
from array import array
from pathlib import Path

import pytest

import models
import onnx_models
from doubles import describe
from pilotlight.description import DEFAULT_SESSION, File, Runtime, Session
from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.runtimes import onnx
from pilotlight.signature import Input, Output, Signature
from pilotlight.tensor import FP32, FP64, Tensor

PLAIN = Signature(
    (Input("signal", FP32, (-1, 2, 3), "tensor"),),
    (Output("doubled", FP32, (-1, 2, 3), "tensor"), Output("sums", FP32, (-1, 2), "tensor")),
)


def load(
    file: Path, signature: Signature, packages: dict[str, str] | None = None, session: Session = DEFAULT_SESSION
) -> onnx.OnnxModel:
    content = file.read_bytes()
    model = dataclasses.replace(
        describe(signature, content),
        files=(File(file.name, len(content), "0" * 64),),
        runtime=Runtime("onnx", "onnxruntime-python", packages or {}, session),
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


def test_a_session_optimises_unless_the_lock_says_that_it_was_done_before(tmp_path: Path) -> None:
    size = 700
    vector = Tensor(FP32, (1,), array("f", [1]))
    signature = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
    file = onnx_models.folded(tmp_path, size)
    took = {}
    for choice in ("all", "off"):
        model = load(file, signature, session=Session(choice))
        began = time.perf_counter()
        for _ in range(3):
            assert model.predict([vector])[0].values() == [1 + size]
        took[choice] = time.perf_counter() - began
    assert took["off"] > 5 * took["all"]


def test_without_prepacking_weights_stay_where_the_file_has_them(tmp_path: Path) -> None:
    size = 2048
    weights = 4 * size * size
    signature = Signature((Input("x", FP32, (-1, size), "tensor"),), (Output("y", FP32, (-1, size), "tensor"),))
    row = Tensor(FP32, (1, size), array("f", [1]) * size)
    file = onnx_models.multiplied(tmp_path, size)
    grew = {}
    for prepacking in (False, True):
        before = memory_of_its_own()
        model = load(file, signature, session=Session("off", prepacking))
        assert model.predict([row])[0].values() == [size] * size
        grew[prepacking] = memory_of_its_own() - before
    assert grew[True] > 0.8 * weights
    assert grew[False] < 0.4 * weights


def memory_of_its_own() -> int:
    """Bytes that this process alone holds; pages of a mapped file are not among them."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
