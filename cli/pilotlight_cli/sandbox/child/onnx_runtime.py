"""ONNX Runtime's sessions for reading and rewriting a model, which run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import ModelError
from pilotlight.runtimes.onnx.binding import library, session_options
from pilotlight.runtimes.onnx.refusals import load_error
from pilotlight_cli.formats.onnx_facts import Facts, Width
from pilotlight_cli.sandbox.child.onnx_metadata import check_writer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions


def idle_options(optimization: str, artifact_format: str = "onnx") -> SessionOptions:
    """Return options for one thread, no log and no prepacking; `optimization` is a GraphOptimizationLevel's name."""
    onnxruntime = library()
    options = session_options(onnxruntime, artifact_format)
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


def open_model(path: Path, artifact_format: str) -> tuple[InferenceSession, dict[str, str]]:
    """Open a session that runs nothing; return it with the model's metadata. Raise ModelError."""
    session = open_session(path, idle_options("ORT_DISABLE_ALL", artifact_format))
    try:
        metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
        _shapes(session)
    except ValueError as error:  # a text that is none, a type that is none
        raise ModelError(f"{path.name} is damaged: {str(error).rstrip('.')}; copy or make it again") from error
    check_writer(path.name, metadata, library().__version__)
    return session, metadata


def session_facts(session: InferenceSession, *, checked: bool) -> Facts:
    """Return what a session shows of a graph that is not read.

    `checked`: rows of any width have been tried, or every node compares it. Otherwise one might read beyond a row that
    is too short.
    """
    shapes = _shapes(session)
    return Facts(shapes, dict.fromkeys(shapes, Width(unchecked=not checked)), {}, frozenset(), frozenset(), "")


def _shapes(session: InferenceSession) -> dict[str, tuple[int | str, ...] | None]:
    """Return the shapes of inputs and outputs, None for one without dimensions: it may have no shape."""
    ends = (*session.get_outputs(), *session.get_inputs())
    return {
        end.name: tuple("" if length is None else length for length in end.shape) or None for end in ends if end.type
    }
