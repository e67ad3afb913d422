"""ONNX Runtime's sessions for reading and rewriting a model, which run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.runtimes.onnx.binding import library, session_options
from pilotlight.runtimes.onnx.refusals import load_error

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions


def idle_options(optimization: str) -> SessionOptions:
    """Return options for one thread, no log and no prepacking; `optimization` is a GraphOptimizationLevel's name."""
    onnxruntime = library()
    options = session_options(onnxruntime)
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, optimization)
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def open_session(path: Path, options: SessionOptions) -> InferenceSession:
    """Open a session on a model. Raise ModelError where ONNX Runtime does not load it."""
    try:
        session: InferenceSession = library().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the binding's errors have no common base
        raise load_error(path.name, error, library().__version__) from error
    return session
