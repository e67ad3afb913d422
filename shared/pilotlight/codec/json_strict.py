"""JSON as RFC 8259 has it, by the standard library alone: what is taken, and the words in which the rest is refused.

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

# How many arrays and objects may stand inside one another. A tensor's rank is far below it, parsers' own limits above.
DEEPEST = 64

_CONTAINERS = (list, dict)


def parse(body: bytes) -> object:
    """The JSON value in a body of UTF-8. Raises InvalidRequest.

    Stricter than Python's own parser: no duplicate keys (RFC 8259, 4: their meaning is unpredictable), no NaN or
    Infinity, and no nesting beyond DEEPEST. Integers come with all their digits.
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
    """A value as JSON, in the very bytes that orjson writes; it refuses half a character and more than 64 bits.

    Floats have the shortest form that reads back as the same double. Raises ValueError for NaN and the infinities.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "e-0" in text:
        text = re.sub(_SMALL_FLOAT, _as_orjson, text)
    return text.encode("utf-8", "backslashreplace")  # half a character becomes its JSON escape


# A string, so that what looks like a number in it is left alone; or a float below 0.0001 as Python writes it. Compiled
# at its first use: a cold start would pay for it.
_SMALL_FLOAT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(\d)(?:\.(\d+))?e-0([5-9])'


def _as_orjson(found: re.Match[str]) -> str:
    """Python begins with exponents at 1e-05 and writes two digits, orjson at 1e-6 and writes one."""
    first, more, exponent = found.groups()
    if first is None:
        return found[0]
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
    """An object whose keys were kept as they came."""


class _Constant(str):
    """NaN, Infinity or -Infinity as it stood in the text."""

    __slots__ = ()


def _fault(text: str) -> InvalidRequest:
    """What is wrong with a text, found by parsing it again and forgivingly; only wrong bodies pay for it."""
    try:
        return _faulty_value(json.loads(text, object_pairs_hook=_Pairs, parse_constant=_Constant))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return InvalidRequest(f"the body is not valid JSON: {error.msg} at {place}")
    except RecursionError:
        return _too_deep()
    except ValueError:  # the parser bounds the digits of a whole number
        return InvalidRequest("the body has a whole number with too many digits")


def _faulty_value(document: object) -> InvalidRequest:
    """Find the place of something that JSON does not have or that we do not take.

    The path is put together once it is known: a path for each value would take many times the body's memory.
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
            twice = next((key for key, count in Counter(key for key, _ in value).items() if count > 1), None)
            if twice is not None:
                return InvalidRequest(f"the key {describe(twice)} stands there twice", _path([*steps, step]))
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
