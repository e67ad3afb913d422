"""JSON through orjson, kept to what the strict parser says.

orjson keeps the last of keys that stand there twice, makes doubles of integers beyond 64 bits, and has limits and
words of its own. So what it read counts only where it can be shown that none of that happened. Otherwise it is
`Doubtful`, and the strict parser reads the body again. A cold start does not import it: that takes longer than a small
body gains.
"""

from __future__ import annotations

import sys
from itertools import chain
from types import ModuleType
from typing import Any

from pilotlight.codec.json_strict import DEEPEST

# Bytes from which a body is worth the import. Once it is there, every body is read by it.
_WORTH_IT = 65_536

# How many of a mark are looked for one by one, and in how long a text.
_RARE = 64
_LONG_TEXT = 16_384

# How many a body may have to be split at them, which takes memory for each.
_MANY_QUOTES = 50_000

# Integers of this many digits may be beyond 64 bits: -9223372036854775809 is.
_LONG = b"," + b"0" * 19

# Digits become 0. A long run of them after a point or an exponent is no integer; it stays apart from all the rest.
_SHAPES = bytes(48 if chr(byte).isdigit() else 46 if chr(byte) in ".eE+" else 44 for byte in range(128)) + b"," * 128


class Doubtful(Exception):
    """The strict parser has to read a body."""


def library(size: int) -> ModuleType | None:
    """The module orjson, where it was imported before or is worth it for so many bytes; None where it is missing."""
    module = sys.modules.get("orjson")
    if module is None and size >= _WORTH_IT:
        try:
            import orjson  # noqa: PLC0415
        except ImportError:
            return None
        return orjson
    return module


def parse(orjson: ModuleType, body: bytes) -> object:
    """The JSON value in a body. Raises Doubtful."""
    try:
        document = orjson.loads(body)
    except ValueError:
        raise Doubtful from None
    shapes = body.translate(_SHAPES)
    if shapes.rfind(_LONG) >= 0 or shapes.startswith(_LONG[1:]) or not _is_whole(document, body):
        raise Doubtful
    return document


def _is_whole(document: object, body: bytes) -> bool:
    """Whether nothing of a body is missing in the document, and nothing lies deeper than DEEPEST."""
    if _accounts_for(document, body):
        return True
    # Brackets and colons may stand in strings. Without those; that is exact where no quote is escaped.
    if b"\\" in body or body.count(b'"') > _MANY_QUOTES:
        return False
    return _accounts_for(document, b"".join(body.split(b'"')[::2]))


def _accounts_for(document: object, text: bytes) -> bool:
    """Whether every bracket in a text has its container, at most DEEPEST deep, and every colon its key.

    A key that stood there twice is missing with all that was below the first one.
    """
    brackets = _count(text, b"[") + _count(text, b"{")
    colons = _count(text, b":")
    level = [document]
    for _ in range(DEEPEST):
        lists = [value for value in level if type(value) is list]
        dicts: list[dict[str, Any]] = [value for value in level if type(value) is dict]
        brackets -= len(lists) + len(dicts)
        colons -= sum(map(len, dicts))
        if brackets == 0:  # before the values of the innermost lists are looked at: those are many
            return colons == 0
        if not lists and not dicts:
            return False
        level = [*chain.from_iterable(lists), *chain.from_iterable(each.values() for each in dicts)]
    return False


def _count(text: bytes, mark: bytes) -> int:
    """How often a mark stands in a text. A rare one is looked for, which in a long text is faster than counting."""
    count, position = 0, text.find(mark)
    while position >= 0:
        count += 1
        if count == _RARE or len(text) < _LONG_TEXT:
            return text.count(mark)
        position = text.find(mark, position + 1)
    return count
