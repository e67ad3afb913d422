"""ONNX models on ONNX Runtime's Python binding."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pilotlight.errors import PredictionTimeout, RuntimeMismatch
from pilotlight.model.lock import DEFAULT_SESSION, Description, Session
from pilotlight.model.tensor import Tensor
from pilotlight.runtimes import check_version
from pilotlight.runtimes.arrays import from_numpy, to_numpy
from pilotlight.runtimes.onnx import CONFIGURATIONS, RUN_FAILURES, SMALLEST, check_files, check_refusal, check_signature
from pilotlight.runtimes.watchdog import Watchdog

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions, SessionOptions

# Two threads import at a cold start, and the one that waited for a failed import would get an empty module.
_IMPORTING = threading.Lock()


class OnnxModel:
    """A session and the signature's order of inputs and outputs."""

    def __init__(
        self,
        session: InferenceSession,
        new_options: type[RunOptions],
        failures: tuple[type[Exception], ...],
        model: Description,
    ) -> None:
        self._session = session
        self._new_options = new_options
        self._failures = failures
        self._watchdog = Watchdog(time.monotonic)
        self._inputs = [tensor.name for tensor in model.signature.inputs]
        self._outputs = [tensor.name for tensor in model.signature.outputs]
        self._datatypes = [tensor.datatype for tensor in model.signature.outputs]

    def predict(self, inputs: Sequence[Tensor], timeout: float | None = None) -> tuple[Tensor, ...]:
        """See `runtimes.Model.predict`. Raises InvalidRequest, PredictionTimeout, or the binding's other errors."""
        feeds = {name: to_numpy(tensor) for name, tensor in zip(self._inputs, inputs, strict=True)}
        try:
            results = self._session.run(self._outputs, feeds) if timeout is None else self._run_until(timeout, feeds)
        except self._failures as error:
            check_refusal(error)
            raise
        return tuple(from_numpy(result, datatype) for result, datatype in zip(results, self._datatypes, strict=True))

    def _run_until(self, timeout: float, feeds: dict[str, Any]) -> Sequence[Any]:
        options = self._new_options()
        run = self._watchdog.begin(timeout, partial(setattr, options, "terminate", True))
        try:
            results: Sequence[Any] = self._session.run(self._outputs, feeds, options)
        finally:
            if self._watchdog.end(run):
                raise PredictionTimeout
        return results


def library() -> ModuleType:
    """Import onnxruntime with its telemetry off: releases from 1.29 on send it unless both variables are set."""
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    with _IMPORTING:
        import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module


def load(model: Description, folder: Path, threads: int) -> OnnxModel:
    """Load `files[0]`, which may keep tensors in the other files, into a session.

    Raises RuntimeMismatch, or ModelError if the file cannot be loaded or does not match the signature.
    """
    try:
        onnxruntime = library()
    except ImportError as error:
        raise RuntimeMismatch(f"cannot import onnxruntime, which the lock requires: {error}") from error
    check_version("onnxruntime", onnxruntime.__version__, model.runtime.packages)
    check_files(model, folder)
    session = _open(onnxruntime, model, folder, threads)
    check_signature("input", model.signature.inputs, {node.name: node.type for node in session.get_inputs()})
    check_signature("output", model.signature.outputs, {node.name: node.type for node in session.get_outputs()})
    return OnnxModel(session, onnxruntime.RunOptions, _failures(), model)


def preload(_packages: Mapping[str, str]) -> None:
    """Do the one-time work of a process's first session, before there is a file to load."""
    _session(library(), SMALLEST, DEFAULT_SESSION, threads=1)


def session_options(onnxruntime: ModuleType, artifact_format: str = "onnx") -> SessionOptions:
    """Return options that read any file as one of this format."""
    options: SessionOptions = onnxruntime.SessionOptions()
    for key, value in CONFIGURATIONS[artifact_format].items():
        options.add_session_config_entry(key, value)
    return options


def _open(onnxruntime: ModuleType, model: Description, folder: Path, threads: int) -> InferenceSession:
    path = folder / model.files[0].name
    try:
        return _session(onnxruntime, path, model.runtime.session, threads, model.format)
    except Exception as error:  # the binding's errors have no common base
        from pilotlight.runtimes.onnx.refusals import load_error  # noqa: PLC0415 - a start does not need it

        raise load_error(path.name, error, onnxruntime.__version__) from error


def _session(
    onnxruntime: ModuleType, model: Path | bytes, session: Session, threads: int, artifact_format: str = "onnx"
) -> InferenceSession:
    options = session_options(onnxruntime, artifact_format)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, and need no line of their own on stderr
    if session.graph_optimization == "off":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not session.prepacking:
        options.add_session_config_entry("session.disable_prepacking", "1")
    loaded: InferenceSession = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return loaded


def _failures() -> tuple[type[Exception], ...]:
    """Return the binding's errors for RUN_FAILURES, which have no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as binding  # noqa: PLC0415

    return tuple(getattr(binding, code.title().replace("_", "")) for code in RUN_FAILURES)
