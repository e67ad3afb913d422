"""ONNX Runtime's sessions for reading and rewriting a model, which run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import ModelError
from pilotlight.runtimes.onnx.binding import library, session_options

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


def open_session(path: Path, options: SessionOptions, action: str) -> InferenceSession:
    """Open a session on a model. Raise ModelError where ONNX Runtime cannot do the `action` that needs it."""
    try:
        session: InferenceSession = library().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the binding's errors have no common base
        raise ModelError(f"ONNX Runtime cannot {action} {path.name}: {error}") from error
    return session
