"""JSON through orjson, with the results of the strict parser.

orjson keeps the last of duplicate keys, turns integers beyond 64 bits into doubles, and has its own limits and
messages. So its result counts only if checks rule these out. Otherwise it is `Doubtful`, and the strict parser reads
the body again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from itertools import chain
from types import ModuleType
from typing import Any

from pilotlight.codec.json_strict import DEEPEST

# What orjson's import asks for types to recognize. With what they import, these are most of its time.
_MODULES_OF_TYPES = ("dataclasses", "uuid")

# Up to how many marks are searched for one by one, and from which length of a text on.
_RARE = 64
_LONG_TEXT = 16_384

# Up to how many quotes a body is split at them, which takes memory for each.
_MANY_QUOTES = 50_000

# Integers of this many digits may be beyond 64 bits: -9223372036854775809 is.
_LONG = b"," + b"0" * 19

# Digits become 0, points and exponents ".", everything else ",": a long run of digits after a "." is no integer.
_SHAPES = bytes(48 if chr(byte).isdigit() else 46 if chr(byte) in ".eE+" else 44 for byte in range(128)) + b"," * 128


class Doubtful(Exception):
    """orjson's result may differ from the strict parser's, which has to read the body."""


class _AnyTypes(ModuleType):
    """A module that has a type for every name."""

    def __getattr__(self, name: str) -> type:
        return type(name, (), {})


def import_without_types() -> None:
    """Import orjson without the modules whose types it would write: 0.4 ms of processor time instead of 6.

    The core passes it no such types. It would write a dataclass of somebody else as `{}` from then on, and another
    thread could meet the stand-ins: so this is for a process with one thread, in which nobody else's code runs.
    """
    absent = [name for name in _MODULES_OF_TYPES if name not in sys.modules]
    sys.modules.update({name: _AnyTypes(name) for name in absent})
    try:
        library()
    finally:
        for name in absent:
            del sys.modules[name]


@cache
def library() -> ModuleType | None:
    """Return orjson, or None if it is not installed."""
    try:
        import orjson  # noqa: PLC0415
    except ImportError:
        return None
    return orjson


def parse(orjson: ModuleType, body: bytes) -> object:
    """Parse a body. Raise Doubtful."""
    try:
        document = orjson.loads(body)
    except ValueError:
        raise Doubtful from None
    shapes = body.translate(_SHAPES)
    if shapes.rfind(_LONG) >= 0 or shapes.startswith(_LONG[1:]) or not _is_complete(document, body):
        raise Doubtful
    return document


def parse_all(bodies: Mapping[int, bytes]) -> dict[int, object]:
    """Parse many bodies by their numbers, and leave out all that may be doubtful; the checks look at them together."""
    orjson = library()
    if orjson is None:
        return {}
    try:
        documents = dict(zip(bodies, map(orjson.loads, bodies.values()), strict=True))
    except ValueError:
        documents = {}
        for number, body in bodies.items():
            with suppress(ValueError):
                documents[number] = orjson.loads(body)
    text = b",".join([b"", *(bodies.values() if len(documents) == len(bodies) else map(bodies.__getitem__, documents))])
    is_certain = text.translate(_SHAPES).rfind(_LONG) < 0 and _is_complete([*documents.values()], b"[" + text)
    return documents if is_certain else {}


def _is_complete(document: object, body: bytes) -> bool:
    """Whether the document has all of the body, nested at most DEEPEST deep."""
    if _accounts_for(document, body):
        return True
    # Strings may contain brackets and colons. Leave strings out, which is exact if no quote is escaped.
    if b"\\" in body or body.count(b'"') > _MANY_QUOTES:
        return False
    return _accounts_for(document, b"".join(body.split(b'"')[::2]))


def _accounts_for(document: object, text: bytes) -> bool:
    """Whether every bracket in a text has its container, at most DEEPEST deep, and every colon its key.

    A duplicate key is missing in the document, with everything below its first value.
    """
    brackets = _count(text, b"[") + _count(text, b"{")
    colons = _count(text, b":")
    if type(document) is dict and colons == len(document) and brackets <= DEEPEST:
        return True  # the usual request: a key for each colon leaves none for below, and few brackets are not deep
    level = [document]
    for _ in range(DEEPEST):
        kinds = [*map(type, level)]
        lists: list[list[Any]] = _of_kind(list, level, kinds)
        dicts: list[dict[str, Any]] = _of_kind(dict, level, kinds)
        brackets -= len(lists) + len(dicts)
        colons -= sum(map(len, dicts))
        if brackets == 0:  # before the innermost lists' values are visited, which are many
            return colons == 0
        if not lists and not dicts:
            return False
        level = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dicts))]
    return False


def _of_kind(kind: type, values: list[Any], kinds: list[type]) -> list[Any]:
    """Return the values of a kind; C code alone decides the common cases, all and none."""
    count = kinds.count(kind)
    return values if count == len(values) else [value for value in values if type(value) is kind] if count else []


def _count(text: bytes, mark: bytes) -> int:
    """Count a mark in a text. In a long text, searching for a rare one is faster than counting."""
    count, position = 0, text.find(mark)
    while position >= 0:
        count += 1
        if count == _RARE or len(text) < _LONG_TEXT:
            return text.count(mark)
        position = text.find(mark, position + 1)
    return count
