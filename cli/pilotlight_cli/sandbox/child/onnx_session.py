"""Session settings in an ONNX file's metadata: `optimize` writes them, `publish` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pilotlight.errors import FormatError
from pilotlight.model.lock import DEFAULT_SESSION, Session

# Keys of a model's metadata.
GRAPH_OPTIMIZATION: Final = "pilotlight.graph_optimization"
PREPACKING: Final = "pilotlight.prepacking"

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


def mark(file: Path, session: Session) -> None:
    """Write the session settings into a model that has none.

    In a protocol buffer, an entry of a repeated field can be appended at the end of the file.
    """
    prepacking = "true" if session.prepacking else "false"
    with file.open("ab") as out:
        out.write(_entry(GRAPH_OPTIMIZATION, session.graph_optimization) + _entry(PREPACKING, prepacking))


def _entry(key: str, value: str) -> bytes:
    """Return the bytes of an entry; lengths below 128 take one byte."""
    content = b"\x0a" + bytes([len(key)]) + key.encode() + b"\x12" + bytes([len(value)]) + value.encode()
    return _METADATA_PROPS + bytes([len(content)]) + content
