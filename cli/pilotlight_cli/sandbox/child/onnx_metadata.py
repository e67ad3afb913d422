"""What Pilotlight reads and writes in an ONNX file's metadata (ModelProto.metadata_props)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import FormatError, ModelError
from pilotlight.model.lock import DEFAULT_SESSION, Session

# Keys with a JSON array, and with a signature.
FEATURE_NAMES: Final = "pilotlight.feature_names"
LABELS: Final = "pilotlight.labels"
SIGNATURE: Final = "pilotlight.signature"

# Keys of the session, and of the release of ONNX Runtime that wrote a file in its own format.
GRAPH_OPTIMIZATION: Final = "pilotlight.graph_optimization"
PREPACKING: Final = "pilotlight.prepacking"
WRITER: Final = "pilotlight.onnxruntime"

_FLAGS: Final = {"true": True, "false": False}
_METADATA_PROPS: Final = b"\x72"  # ModelProto.metadata_props = 14, a message of two strings: key = 1, value = 2


def read_session(metadata: Mapping[str, str]) -> Session:
    """Read the session settings from a model's metadata, or their defaults. Raise FormatError."""
    optimization = metadata.get(GRAPH_OPTIMIZATION, DEFAULT_SESSION.graph_optimization)
    if optimization not in ("all", "off"):
        raise FormatError(
            f'expected "all" or "off", found "{optimization}"', "", f"the model's metadata {GRAPH_OPTIMIZATION}"
        )
    prepacking = metadata.get(PREPACKING, "true")
    if prepacking not in _FLAGS:
        raise FormatError(f'expected "true" or "false", found "{prepacking}"', "", f"the model's metadata {PREPACKING}")
    return Session(optimization, _FLAGS[prepacking])


def write_session(session: Session) -> dict[str, str]:
    """Return the entries of the session settings."""
    prepacking = "true" if session.prepacking else "false"
    return {GRAPH_OPTIMIZATION: session.graph_optimization, PREPACKING: prepacking}


def check_writer(name: str, metadata: Mapping[str, str], version: str) -> None:
    """Raise ModelError for a file that another release of ONNX Runtime wrote in its own format."""
    found = metadata.get(WRITER, version)
    if found != version:
        raise ModelError(
            f"{name} was written by onnxruntime {found}, expected {version}; make it again from the ONNX model: "
            "pilotlight optimize --one-file MODEL.onnx OUTDIR"
        )


def read_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the features, if the metadata has any. Raise FormatError."""
    values = _array(metadata, FEATURE_NAMES)
    if not all(isinstance(value, str) and value for value in values):
        raise FormatError("expected a JSON array of strings", "", f"the model's metadata {FEATURE_NAMES}")
    return tuple(values)


def read_labels(metadata: Mapping[str, str]) -> tuple[str | int, ...]:
    """Return the labels, if the metadata has any. Raise FormatError."""
    values = _array(metadata, LABELS)
    if not all(type(value) in (str, int) for value in values):
        raise FormatError("expected a JSON array of strings or integers", "", f"the model's metadata {LABELS}")
    return tuple(values)


def _array(metadata: Mapping[str, str], key: str) -> list[Any]:
    try:
        values = json.loads(metadata.get(key, "[]"))
    except ValueError as error:
        raise FormatError(f"not valid JSON: {error}", "", f"the model's metadata {key}") from None
    return values if isinstance(values, list) else [None]


def mark(file: Path, entries: Mapping[str, str]) -> None:
    """Write entries into the metadata of an ONNX file.

    In a protocol buffer, an entry of a repeated field can be appended at the end of the file.
    """
    with file.open("ab") as out:
        for key, value in entries.items():
            entry = b"\x0a" + _sized(key) + b"\x12" + _sized(value)
            out.write(_METADATA_PROPS + _varint(len(entry)) + entry)


def _sized(text: str) -> bytes:
    content = text.encode()
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    content = b""
    while number > 0x7F:
        content, number = content + bytes([number & 0x7F | 0x80]), number >> 7
    return content + bytes([number])
