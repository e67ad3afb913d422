"""Files that hold several objects, such as a scaler and a model: which of them the publisher serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.pipeline import make_pipeline

from pilotlight.errors import ModelError
from pilotlight_cli.sandbox.job import Job, UsageError

# They transform what a model predicts, not its features.
_OF_LABELS = ("LabelBinarizer", "LabelEncoder", "MultiLabelBinarizer")
_MOST_SHOWN = 8


def assemble(job: Job, loaded: Any) -> tuple[Any, str]:  # noqa: ANN401 - any object
    """Return the estimator to serve, and what it was made of if the file holds several objects.

    Raise ModelError if it does and the publisher has not said which make a pipeline.
    """
    parts = _parts(loaded)
    kind = type(loaded).__name__
    if parts is None:
        if job.pipeline:
            raise UsageError(f"{job.path.name} holds a {kind}, expected a dictionary or a tuple; leave --pipeline out")
        return loaded, ""
    if not job.pipeline:
        raise ModelError(_refusal(job.path.name, kind, parts))
    missing = [name for name in job.pipeline if name not in parts]
    if missing:
        raise UsageError(f"--pipeline: {job.path.name} has no {', '.join(missing)}, only {_shown(parts)}")
    *before, _ = job.pipeline
    for name in before:
        if not hasattr(parts[name], "transform"):
            raise UsageError(f"--pipeline: {name} is a {type(parts[name]).__name__}, expected one with transform")
    estimator = make_pipeline(*(parts[name] for name in job.pipeline))
    return estimator, f"a {kind}, of which {', '.join(job.pipeline)} are served as a pipeline"


def _parts(loaded: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - any object
    """Return the objects in a dictionary by their keys, in a tuple or list by their positions."""
    if isinstance(loaded, dict):
        return {str(key): value for key, value in loaded.items()}
    if isinstance(loaded, (tuple, list)):
        return {str(index): value for index, value in enumerate(loaded)}
    return None


def _refusal(file: str, kind: str, parts: Mapping[str, Any]) -> str:
    found = f"{file} holds a {kind} of {_shown(parts)}, expected one estimator"
    predicting = [name for name, part in parts.items() if hasattr(part, "predict")]
    before = [
        name
        for name, part in parts.items()
        if name not in predicting and hasattr(part, "transform") and type(part).__name__ not in _OF_LABELS
    ]
    if len(predicting) != 1:
        return f"{found}; save the one to serve by itself, or all of them as a sklearn.pipeline.Pipeline"
    (model,) = predicting
    place = f'd["{model}"]' if kind == "dict" else f"d[{model}]"
    alone = f"save {place} by itself"
    if not before:
        return f"{found}; {alone}"
    return (
        f"{found}; if a row goes through {', '.join((*before, model))} in this order, publish it with "
        f"--pipeline {','.join((*before, model))}, and if not, {alone}"
    )


def _shown(parts: Mapping[str, Any]) -> str:
    names = [f"{name} ({type(part).__name__})" for name, part in parts.items()]
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {len(names) - _MOST_SHOWN} more" if names[_MOST_SHOWN:] else "")
