"""How Pilotlight writes its JSON files: the same document gives the same bytes, and a change reads well in a diff."""

from __future__ import annotations

import json
from textwrap import wrap

from pilotlight.errors import FormatError

_WIDTH = 120


def to_bytes(document: object) -> bytes:
    """Write a document in UTF-8, indented by two, with a final newline. Raise ValueError for NaN and infinities."""
    return (_write(document, "") + "\n").encode()


def decode_text(content: bytes, place: str) -> str:
    """Decode the content of a UTF-8 file, which messages call `place`. Raise FormatError."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error.reason} at byte {error.start}", "", place) from None


def _write(value: object, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        fields = [f"{inner}{_scalar(name)}: {_write(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and value:
        return _write_array(list(value), indent)
    return _scalar(value)


def _write_array(items: list[object], indent: str) -> str:
    """Write one line where it fits; else numbers fill lines, and other items get a line each."""
    inner = indent + "  "
    if any(isinstance(item, (dict, list, tuple)) for item in items):
        return "[\n" + ",\n".join(inner + _write(item, inner) for item in items) + f"\n{indent}]"
    scalars = [_scalar(item) for item in items]
    line = ", ".join(scalars)
    if len(indent) + len(line) + 30 <= _WIDTH:  # 30 for the name before it
        return f"[{line}]"
    if any(isinstance(item, str) for item in items):
        return f"[\n{inner}" + f",\n{inner}".join(scalars) + f"\n{indent}]"
    lines = wrap(line, _WIDTH, initial_indent=inner, subsequent_indent=inner, break_on_hyphens=False)
    return "[\n" + "\n".join(lines) + f"\n{indent}]"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
