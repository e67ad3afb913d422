"""JSON (RFC 8259) through the standard library: what is accepted, and the messages for everything else.

`codec/json_fast.py` reads and writes the same, faster.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import child, describe, refuse_constant, unique_fields

# How deep arrays and objects may be nested. A tensor's rank is far below it, parsers' own limits above.
DEEPEST = 64

_CONTAINERS = (list, dict)


def parse(body: bytes) -> object:
    """Parse a body of UTF-8. Raise InvalidRequest.

    Stricter than Python's own parser: no duplicate keys (RFC 8259, 4: their meaning is unpredictable), no NaN or
    Infinity, and no nesting beyond DEEPEST. Integers keep all their digits.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text.strip():
        raise InvalidRequest("the body is empty, expected a JSON object", "$")
    try:
        document = _DECODER.decode(text)
    except ValueError:
        raise _fault(text) from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > DEEPEST and _is_too_deep(document):
        raise _too_deep()
    return document


def write(document: object) -> bytes:
    """Encode a value as orjson does, byte for byte, and what it refuses: lone surrogates, integers above 64 bits.

    Floats have the shortest form that reads back as the same double. Raise ValueError for NaN and the infinities.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "e-0" in text:
        text = re.sub(_SMALL_FLOAT, _as_orjson, text)
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape


# A string, which is left alone even if it looks like a number; or a float below 0.0001 as Python writes it. Compiled at
# its first use: a cold start would pay for it.
_SMALL_FLOAT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(\d)(?:\.(\d+))?e-0([5-9])'


def _as_orjson(match: re.Match[str]) -> str:
    """Rewrite an exponent: Python uses them from 1e-05 on, with two digits, orjson from 1e-6 on, with one."""
    first, more, exponent = match.groups()
    if first is None:
        return match[0]
    if exponent == "5":
        return f"0.0000{first}{more or ''}"
    return f"{first}.{more}e-{exponent}" if more else f"{first}e-{exponent}"


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"the body is nested too deeply, expected at most {DEEPEST} levels")


def _is_too_deep(document: object) -> bool:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        insides = (each.values() if type(each) is dict else each for each in level if type(each) in _CONTAINERS)
        level = [value for inside in insides for value in inside if type(value) in _CONTAINERS]
        if not level:
            return False
    return True


_DECODER = json.JSONDecoder(object_pairs_hook=unique_fields, parse_constant=refuse_constant)


class _Pairs(list[tuple[str, object]]):
    """An object with all its keys, duplicates included."""


class _Constant(str):
    """NaN, Infinity or -Infinity in the text."""

    __slots__ = ()


def _fault(text: str) -> InvalidRequest:
    """Find the error in a text by parsing it again, leniently; only invalid bodies pay for it."""
    try:
        return _faulty_value(json.loads(text, object_pairs_hook=_Pairs, parse_constant=_Constant))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return InvalidRequest(f"the body is not valid JSON: {error.msg} at {place}")
    except RecursionError:
        return _too_deep()
    except ValueError:  # the parser limits the digits of a whole number
        return InvalidRequest("the body has a whole number with too many digits")


def _faulty_value(document: object) -> InvalidRequest:
    """Find the first constant or duplicate key that is not valid JSON.

    Its path is built last: a path for each value would take many times the body's memory.
    """
    steps: list[object] = []
    walks: list[Iterator[tuple[object, object]]] = [iter([(None, document)])]
    while walks:
        entry = next(walks[-1], None)
        if entry is None:
            walks.pop()
            del steps[-1:]
            continue
        step, value = entry
        if isinstance(value, _Constant):
            return InvalidRequest(f"{value} is not JSON, expected a number", _path([*steps, step]))
        if isinstance(value, _Pairs):
            duplicate = next((key for key, count in Counter(key for key, _ in value).items() if count > 1), None)
            if duplicate is not None:
                return InvalidRequest(f"duplicate key {describe(duplicate)}", _path([*steps, step]))
        if isinstance(value, list):
            steps.append(step)
            entries = value if isinstance(value, _Pairs) else enumerate(value)
            walks.append(iter([entry for entry in entries if isinstance(entry[1], (list, _Constant))]))
    return InvalidRequest("the body is not valid JSON")


def _path(steps: list[object]) -> str:
    path = "$"
    for step in steps[1:]:
        path = f"{path}[{step}]" if isinstance(step, int) else child(path, str(step))
    return path
