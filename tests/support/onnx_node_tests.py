"""Publish the ONNX package's own models of single nodes: a line for each, with what came of it.

Each model is inspected as `publish` does, on the inputs of its test, in a child of its own; what it answers is compared
with the outputs of the test.
"""

from __future__ import annotations

import gc
import json
import re
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - numpy gets bfloat16
import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnxruntime import InferenceSession

from forks import outcome
from pilotlight import runtimes
from pilotlight.codec.encode import json_values
from pilotlight.model.golden import Golden, write_golden
from pilotlight.model.tensor import BYTES, DATATYPES, Tensor
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx import inspect
from pilotlight_cli.sandbox.job import Job, provisional_description

_DATATYPES = {
    {"?": "bool", "O": "object", "": "bfloat16"}.get(datatype.numpy) or np.dtype(datatype.numpy).name: datatype
    for datatype in DATATYPES.values()
}

_HALF = 1e-2  # the relative tolerance for numbers of 16 bits


def main() -> None:
    """Take each test, and print what came of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the generators' own arithmetic
        tests = sorted(collect_testcases(None), key=lambda test: test.name)
    publish(next(test for test in tests if test.name == "test_relu"))  # imports once what each child needs
    gc.freeze()
    for test in tests:
        print(json.dumps({"name": test.name, **tried(test)}), flush=True)


def tried(test: Any) -> dict[str, str]:
    """Return what came of a test, where publish advises another IR version with that."""
    found = outcome(partial(publish, test))
    if advised := re.search(r"or set model\.ir_version = (\d+)", found.get("refused", "")):
        test.model.ir_version = int(advised[1])
        return outcome(partial(publish, test))
    return found


def publish(test: Any) -> str:
    """Return nothing if the outputs equal those of the test, the operator if ONNX Runtime itself gives others.

    Raise PilotlightError.
    """
    (given, expected), *_ = test.data_sets
    graph = test.model.graph
    inputs = {value.name: array(data) for value, data in zip(graph.input, given, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(test.model.SerializeToString())
        findings = inspect(job(path, golden(inputs)))
        signature = findings.signature
        description = provisional_description((findings.path,), "onnx", findings.runtime, signature, ((), ()))
        model = runtimes.load(description, findings.path.parent, threads=1)
    answers = model.predict([tensor(inputs[declared.name]) for declared in signature.inputs])
    found = {declared.name: values(answer) for declared, answer in zip(signature.outputs, answers, strict=True)}
    right = {value.name: data for value, data in zip(graph.output, expected, strict=True)}
    if all(equal(value, right[name], test.rtol) for name, value in found.items()):
        return ""
    plain = InferenceSession(test.model.SerializeToString()).run(list(found), inputs)
    assert all(equal(value, other, test.rtol) for value, other in zip(found.values(), plain, strict=True))
    return str(graph.node[0].op_type)


def job(path: Path, samples: str) -> Job:
    """Return the job that `publish` makes for a file and the publisher's samples."""
    found = recognise(path)
    return Job(
        path,
        found.kind,
        frozenset(),
        path.parent,
        golden=samples,
        labels=found.labels,
        vocabulary=found.vocabulary,
        repairs=found.repairs,
    )


def golden(inputs: Mapping[str, np.ndarray | None]) -> str:
    """Return golden samples with these inputs, empty where the format has no such values."""
    if not inputs or not all(
        isinstance(data, np.ndarray) and data.dtype.name in _DATATYPES for data in inputs.values()
    ):
        return ""
    samples = [{"inputs": [_document(name, tensor(data)) for name, data in inputs.items()]}]
    return json.dumps({**write_golden(Golden(())), "samples": samples})


def _document(name: str, given: Tensor) -> dict[str, object]:
    """Return a tensor as golden samples have it."""
    values = list(json_values(given))
    return {"name": name, "datatype": given.datatype.name, "shape": list(given.shape), "data": values}


def array(data: Any) -> Any:
    """Return the array of a test's tensor; of another value, the value."""
    if isinstance(data, TensorProto):
        return numpy_helper.to_array(data)
    return data if isinstance(data, list) or data is None else np.asarray(data)


def tensor(data: Any) -> Tensor:
    """Return an array as a tensor."""
    datatype = _DATATYPES[data.dtype.name]
    if datatype is BYTES:
        return Tensor(datatype, data.shape, [str(value) for value in data.ravel()])
    return Tensor(datatype, data.shape, data.tobytes())


def values(answer: Tensor) -> Any:
    """Return a tensor as an array."""
    if isinstance(answer.data, list):
        return np.array(answer.data, object).reshape(answer.shape)
    dtype = next(name for name, datatype in _DATATYPES.items() if datatype is answer.datatype)
    return np.frombuffer(answer.data, dtype).reshape(answer.shape)


def _joins(parts: list[Any], axis: int) -> bool:
    """Return whether arrays have the same lengths but for those of one axis."""
    return len({part.shape[:axis] + part.shape[axis + 1 :] for part in parts}) == 1


def equal(found: Any, expected: Any, relative: float) -> bool:
    """Compare with a test's tolerance, wider for numbers of 16 bits. A sequence is expected to be joined."""
    if isinstance(expected, list):
        parts = [array(part) for part in expected]
        alike = len({part.shape for part in parts}) == 1
        forms = [np.stack(parts, axis) for axis in range(parts[0].ndim + 1)] if alike else []
        forms += [np.concatenate(parts, axis) for axis in range(parts[0].ndim) if _joins(parts, axis)]
        return any(equal(found, form, relative) for form in forms)
    expected = array(expected)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.dtype == object or found.dtype.kind in "biu":
        return bool((found == expected).all())
    relative = relative if found.dtype.itemsize > 2 else _HALF
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return np.allclose(found, expected, rtol=relative, atol=relative * largest * 1e-2, equal_nan=True)


if __name__ == "__main__":
    main()
