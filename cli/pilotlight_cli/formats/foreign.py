"""Files that are no model that Pilotlight serves, named by their first bytes, with the way to one that is.

To recognise another kind, add a row to `_KINDS`, or to `_ARCHIVES` for a zip file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# How many bytes of a file its kind is told by.
HEAD: Final = 4096

_ON_TENSORFLOW: Final = "convert it where TensorFlow is: python -m tf2onnx.convert"

_AGAIN: Final = "copy or download it again"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A row: what a file is, by its first bytes, and what to do instead of publishing it."""

    matches: Callable[[bytes], object]
    is_a: str
    way: str


def _starts(*magic: bytes, at: int = 0) -> Callable[[bytes], object]:
    return lambda head: head.startswith(magic, at)


def _has(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL | re.IGNORECASE).match


_KINDS: Final = (
    Foreign(_starts(b"version https://git-lfs"), "a pointer of Git LFS, not the file itself", "run 'git lfs pull'"),
    Foreign(
        _has(rb"\s*(<!doctype html|<html)"),
        "an HTML page",
        "download the file itself: a page comes instead of it where a login or another address is needed",
    ),
    Foreign(_has(rb".{0,1000}<PMML\b"), "a PMML file", "export the model to ONNX from the library that trained it"),
    Foreign(
        _starts(b"TFL3", at=4),
        "a TensorFlow Lite model",
        f"{_ON_TENSORFLOW} --tflite FILE --output model.onnx",
    ),
    Foreign(
        _starts(b"\x93NUMPY"), "an array of numpy", "publish the model itself; rows go into --golden, as JSON or CSV"
    ),
    Foreign(
        _starts(b"GGUF"),
        "a GGUF file, the weights of a language model",
        "a server for language models runs it; Pilotlight does not",
    ),
    Foreign(
        _has(rb".{4}\x00{4}\{\s*\""),
        "a safetensors file, which has the weights alone",
        "load them into the model and export that to ONNX",
    ),
    Foreign(
        _starts(b"\x89HDF"),
        "an HDF5 file, as Keras writes them",
        "load it with Keras, save it again with model.save('model.keras'), and run 'pilotlight convert' on that",
    ),
    Foreign(
        _starts(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
        "a file of torch.save",
        "load it and export the model with torch.onnx.export",
    ),
    Foreign(
        _starts(b"\x08\x01\x12"),
        "the graph of a TensorFlow SavedModel",
        f"{_ON_TENSORFLOW} --saved-model FOLDER --output model.onnx",
    ),
    # ModelProto.ir_version, then its producer or its graph.
    Foreign(_has(rb"\x08[\x02-\x20](\x12.[ -~]{2}|:)"), "an ONNX model that is truncated or damaged", _AGAIN),
)


@dataclass(frozen=True, slots=True)
class Archive:
    """A row: what a zip file is, by the names in it, and what to do instead of publishing it."""

    matches: Callable[[Collection[str]], object]
    is_a: str
    way: str


def _any_ends(*ends: str) -> Callable[[Collection[str]], object]:
    return lambda names: any(name.endswith(ends) for name in names)


_ARCHIVES: Final = (Archive(_any_ends(".npy"), "a file of numpy's arrays", "publish the model itself"),)


def foreign(path: Path) -> str | None:
    """Return what the file is and what to do, or None for a file of another kind."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((f"{path.name} is {row.is_a}; {row.way}" for row in _KINDS if row.matches(head)), None)


def foreign_archive(path: Path, names: Collection[str]) -> str:
    """Return what a zip file with these names is, and what to do."""
    for row in _ARCHIVES:
        if row.matches(names):
            return f"{path.name} is {row.is_a}; {row.way}"
    shown = ", ".join(sorted(names)[:3])
    return f"{path.name} is a zip file with {shown or 'nothing'} in it; expected a skops file, or another model"


def saved_model(folder: str) -> str:
    """Return what a folder with `saved_model.pb` is and what to do."""
    return f"{folder} is a TensorFlow SavedModel; {_ON_TENSORFLOW} --saved-model {folder} --output model.onnx"


def foreign_folder(path: Path) -> str:
    """Return what a folder is and what to do."""
    if (path / "saved_model.pb").is_file():
        return saved_model(str(path))
    return f"{path} is a folder, expected a model file; name the file in it"
