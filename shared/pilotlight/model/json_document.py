"""Strict reading of JSON documents: every value has a path, unknown fields are refused.

JSON Schemas in shared/schema/ say the same; a test holds the two together. jsonschema itself would cost a cold start
more than onnxruntime does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from pilotlight.errors import FormatError

Item = TypeVar("Item")

LARGEST = 2**63 - 1  # what a size, a length or a count may be: other programs keep them in 64 bits

_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def describe(value: object) -> str:
    """What `value` is, in a message's words: `1.5`, `"abc"`, `an object`."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, (bool, int, float)):
        text = "a very large number" if abs(value) >= 1e40 else json.dumps(value)
        return text if len(text) <= 40 else text[:37] + "..."
    return _NAMES.get(type(value), type(value).__name__)


def child(path: str, key: str) -> str:
    """The path of a field: `$.name`, or `$["any name"]` where the name is no plain word (RFC 9535)."""
    return f"{path}.{key}" if re.fullmatch(r"\w{1,40}", key, re.ASCII) else f"{path}[{describe(key)}]"


def read_json(content: bytes) -> object:
    """Parse a file's bytes. A duplicate key would let two readers see two documents, so it is refused."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique_fields, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not valid JSON: {error}") from None


def unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of these pairs, for `json`'s `object_pairs_hook`. Raises ValueError for a duplicate key."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has the same key twice")
    return fields


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN, Infinity and -Infinity: for `json`'s `parse_constant`."""
    raise ValueError(f"{name} is not JSON")


class Node:
    """A JSON value and where it stands."""

    __slots__ = ("path", "value")

    def __init__(self, value: object, path: str = "$") -> None:
        self.value = value
        self.path = path

    def fail(self, expected: str) -> FormatError:
        """The error for a value that is not what it should be."""
        return FormatError(f"expected {expected}, found {describe(self.value)}", self.path)

    def fields(self, *required: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """An object's fields. All of `required` must be there, and nothing but these and `optional`."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        for name in required:
            if name not in self.value:
                raise FormatError(f"the field {name!r} is missing", self.path)
        for name in self.value:
            if name not in required and name not in optional:
                raise FormatError(f"unknown field {name[:40]!r}", self.path)
        return {name: Node(value, child(self.path, name)) for name, value in self.value.items()}

    def document(self, number: int, *required: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """The fields of a whole file. Its format comes first: another format's fields are not this one's mistakes."""
        if isinstance(self.value, dict) and "format" in self.value:
            Node(self.value["format"], f"{self.path}.format").constant(number)
        return self.fields("format", *required, optional=optional)

    def items(self, read: Callable[[Node], Item], at_least: int = 0) -> tuple[Item, ...]:
        """An array's items, each read by `read`."""
        if not isinstance(self.value, list):
            raise self.fail("an array")
        if len(self.value) < at_least:
            raise FormatError(f"expected at least {at_least} item(s), found {len(self.value)}", self.path)
        return tuple(read(Node(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def mapping(self, read: Callable[[Node], Item]) -> dict[str, Item]:
        """An object of any keys, each value read by `read`."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return {name: read(Node(value, child(self.path, name))) for name, value in self.value.items()}

    def string(self, pattern: str = "", expected: str = "a string") -> str:
        """A string that UTF-8 can hold, wholly matched by `pattern` where one is given."""
        if not isinstance(self.value, str) or (pattern and not re.fullmatch(pattern, self.value)):
            raise self.fail(expected)
        if not self.value.isascii() and any("\ud800" <= character <= "\udfff" for character in self.value):
            raise self.fail("a string of whole Unicode characters")
        return self.value

    def one_of(self, *choices: str) -> str:
        """A string out of `choices`."""
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.fail("one of " + ", ".join(choices))
        return self.value

    def integer(self, at_least: int, at_most: int = LARGEST) -> int:
        """A whole number between two bounds, both included."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < at_least:
            raise self.fail(f"a whole number of at least {at_least}")
        if self.value > at_most:
            raise self.fail(f"a whole number of at most {at_most}")
        return self.value

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.fail("a number")
        if not abs(self.value) <= sys.float_info.max:
            raise self.fail("a number that a double can hold")
        return float(self.value)

    def boolean(self) -> bool:
        """true or false."""
        if not isinstance(self.value, bool):
            raise self.fail("true or false")
        return self.value

    def constant(self, expected: int) -> int:
        """Exactly the number `expected`: a format's number."""
        if isinstance(self.value, bool) or self.value != expected:
            raise FormatError(
                f"format {describe(self.value)} is not known here, expected {expected}; use the release that wrote it",
                self.path,
            )
        return expected
