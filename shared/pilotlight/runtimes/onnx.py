"""ONNX models on ONNX Runtime's Python binding."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pilotlight.description import Description
from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.runtimes import check_version
from pilotlight.runtimes.arrays import from_numpy, to_numpy
from pilotlight.signature import Input, Output
from pilotlight.tensor import Tensor

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

# Two threads import at a cold start, and the one that waited for a failed import gets a module with nothing in it.
_IMPORTING = threading.Lock()

# ONNX's names of element types, where they are not the datatype's own in small letters.
_ELEMENTS = {"BYTES": "string", "FP16": "float16", "FP32": "float", "FP64": "double"}


class OnnxModel:
    """A session and the signature's order of inputs and outputs."""

    def __init__(self, session: InferenceSession, model: Description) -> None:
        self._session = session
        self._inputs = [tensor.name for tensor in model.signature.inputs]
        self._outputs = [tensor.name for tensor in model.signature.outputs]
        self._datatypes = [tensor.datatype for tensor in model.signature.outputs]

    def predict(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See `runtimes.Model.predict`."""
        feeds = {name: to_numpy(tensor) for name, tensor in zip(self._inputs, inputs, strict=True)}
        results = self._session.run(self._outputs, feeds)
        return tuple(from_numpy(result, datatype) for result, datatype in zip(results, self._datatypes, strict=True))


def library() -> ModuleType:
    """The module onnxruntime, imported with its telemetry off: releases from 1.29 on send it unless both are set."""
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    with _IMPORTING:
        import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module


def load(model: Description, folder: Path, threads: int) -> OnnxModel:
    """A session on `files[0]`. Sessions made from a path may read external data that lies beside it.

    Raises RuntimeMismatch, ModelError where the file is not what the signature says, or ONNX Runtime's own errors.
    """
    try:
        onnxruntime = library()
    except ImportError as error:
        raise RuntimeMismatch(f"the lock asks for onnxruntime, which does not import: {error}") from error
    check_version("onnxruntime", onnxruntime.__version__, model.runtime.packages)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if model.runtime.session.graph_optimization == "off":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not model.runtime.session.prepacking:
        options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(folder / model.files[0].name, options, providers=["CPUExecutionProvider"])
    _check("input", model.signature.inputs, session.get_inputs())
    _check("output", model.signature.outputs, session.get_outputs())
    return OnnxModel(session, model)


def _check(kind: str, tensors: Sequence[Input | Output], nodes: Sequence[NodeArg]) -> None:
    """Hold the signature against the session, at the start and not at every request."""
    found = {node.name: node.type for node in nodes}
    for tensor in tensors:
        expected = f"tensor({_ELEMENTS.get(tensor.datatype.name, tensor.datatype.name.lower())})"
        if found.get(tensor.name) != expected:
            raise ModelError(
                f"the signature has the {kind} {tensor.name!r} of type {expected}, and the model has "
                f"{', '.join(f'{name!r} of {type_}' for name, type_ in found.items())}; publish it again"
            )
