"""Hugging Face repositories with ONNX files, as Optimum exports them: `onnx/model.onnx`, its data, `config.json`."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pilotlight.errors import ModelError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.declared import Declared, Source
from pilotlight_cli.sources.files import Files, model_path, named, suffix

_CONFIG: Final = "config.json"
_PLAIN: Final = ("onnx/model.onnx", "model.onnx")
_PREPARATION: Final = ("tokenizer.json", "preprocessor_config.json")


def take(files: Files, file: str) -> Source:
    """Return the chosen ONNX file, or the plain one. Raise UsageError if neither is clear."""
    models = [name for name in files.sizes if suffix(name) == ".onnx"]
    name = file or next((plain for plain in _PLAIN if plain in models), models[0] if len(models) == 1 else "")
    if not name:
        raise UsageError(
            f"{files.place} has {len(models)} ONNX files, none of them model.onnx; choose one with --file: "
            f"{named(models)}"
        )
    others = [model for model in models if model != name]
    notes = [f"{name} is taken" + (f"; choose another with --file: {named(others)}" if others else "")]
    before = [known for known in _PREPARATION if known in files.sizes]
    if before:
        notes.append(f"what {named(before)} describes is not part of the model: callers send its tensors")
    labels = _labels(files)
    return Source(model_path(files, name), Declared(_CONFIG, labels=labels) if labels else None, tuple(notes))


def _labels(files: Files) -> tuple[str, ...]:
    """Return the labels by their numbers; none where the file has only those that the library makes up."""
    place = f"{files.place}/{_CONFIG}"
    try:
        config: Any = json.loads(files.text(_CONFIG))
    except ValueError as error:
        raise ModelError(f"{place} is not valid JSON: {error}") from None
    labels = config.get("id2label") if isinstance(config, dict) else None
    if not labels:
        return ()
    numbers = [str(index) for index in range(len(labels))]
    if not isinstance(labels, dict) or sorted(labels) != sorted(numbers):
        raise ModelError(f"{place}: found id2label {str(labels)[:80]}, expected a label for each number from 0 on")
    texts = tuple(str(labels[number]) for number in numbers)
    if len(set(texts)) != len(texts):
        raise ModelError(f"{place}: found the labels {named(texts)}, expected each once")
    return () if len(texts) < 2 or all(re.fullmatch(r"LABEL_[0-9]+", text) for text in texts) else texts
