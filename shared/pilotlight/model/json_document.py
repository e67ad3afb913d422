"""Strict reading of JSON documents: every value has a path, unknown fields are refused.

A test compares it with the JSON Schemas in shared/schema/. jsonschema itself would cost a cold start more than
onnxruntime does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from pilotlight.errors import FormatError

Item = TypeVar("Item")

LARGEST = 2**63 - 1  # the limit of sizes, lengths and counts, which other programs keep in 64 bits

_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def describe(value: object) -> str:
    """Describe a value in a message: `1.5`, `"abc"`, `an object`."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, (bool, int, float)):
        text = "a very large number" if abs(value) >= 1e40 else json.dumps(value)
        return text if len(text) <= 40 else text[:37] + "..."
    return _NAMES.get(type(value), type(value).__name__)


def child(path: str, key: str) -> str:
    """Return the path of a field: `$.name`, or `$["any name"]` if the name is not a plain word (RFC 9535)."""
    return f"{path}.{key}" if re.fullmatch(r"\w{1,40}", key, re.ASCII) else f"{path}[{describe(key)}]"


def first_duplicate(names: Iterable[str]) -> str | None:
    """Return the first name that comes again, or None. A model may have thousands of names."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def read_json(content: bytes) -> object:
    """Parse a file's bytes. Raise FormatError, for a duplicate key too: two readers could see two documents."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique_fields, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not valid JSON: {error}") from None


def unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of pairs, for `json`'s `object_pairs_hook`. Raise ValueError for a duplicate key."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return fields


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN, Infinity and -Infinity: for `json`'s `parse_constant`."""
    raise ValueError(f"{name} is not JSON")


class Node:
    """A JSON value and its path."""

    __slots__ = ("path", "value")

    def __init__(self, value: object, path: str = "$") -> None:
        self.value = value
        self.path = path

    def fail(self, expected: str) -> FormatError:
        """Return the error for a value that is not as expected."""
        return FormatError(f"expected {expected}, found {describe(self.value)}", self.path)

    def fields(self, *required: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """Return an object's fields: all of `required`, and no others than these and `optional`."""
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
        """Return the fields of a file. Its format is checked first: another format may have other fields."""
        if isinstance(self.value, dict) and "format" in self.value:
            Node(self.value["format"], f"{self.path}.format").constant(number)
        return self.fields("format", *required, optional=optional)

    def items(self, read: Callable[[Node], Item], at_least: int = 0) -> tuple[Item, ...]:
        """Return an array's items, each read by `read`."""
        if not isinstance(self.value, list):
            raise self.fail("an array")
        if len(self.value) < at_least:
            raise FormatError(f"expected at least {at_least} item(s), found {len(self.value)}", self.path)
        return tuple(read(Node(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def mapping(self, read: Callable[[Node], Item]) -> dict[str, Item]:
        """Return an object with any keys, each value read by `read`."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return {name: read(Node(value, child(self.path, name))) for name, value in self.value.items()}

    def string(self, pattern: str = "", expected: str = "a string") -> str:
        """Return a string that UTF-8 can encode and that `pattern`, if given, matches as a whole."""
        if not isinstance(self.value, str) or (pattern and not re.fullmatch(pattern, self.value)):
            raise self.fail(expected)
        if not self.value.isascii() and any("\ud800" <= character <= "\udfff" for character in self.value):
            raise self.fail("a string without unpaired surrogates")
        return self.value

    def one_of(self, *choices: str) -> str:
        """Return a string that is one of `choices`."""
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.fail("one of " + ", ".join(choices))
        return self.value

    def integer(self, at_least: int, at_most: int = LARGEST) -> int:
        """Return a whole number between two bounds, both included."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < at_least:
            raise self.fail(f"a whole number of at least {at_least}")
        if self.value > at_most:
            raise self.fail(f"a whole number of at most {at_most}")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.fail("a number")
        if not abs(self.value) <= sys.float_info.max:
            raise self.fail("a number in the range of a double")
        return float(self.value)

    def boolean(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.fail("true or false")
        return self.value

    def constant(self, expected: int) -> int:
        """Return the number of a format, which must be `expected`."""
        if isinstance(self.value, bool) or self.value != expected:
            raise FormatError(
                f"format {describe(self.value)} is not supported, expected {expected}; use the release that wrote it",
                self.path,
            )
        return expected
