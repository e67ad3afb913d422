"""Protobuf's text format without a schema: Triton's configurations have fields that Pilotlight does not know.

https://protobuf.dev/reference/protobuf/textformat-spec/; google.protobuf cannot skip an unknown list of messages.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Value: TypeAlias = "str | int | float | Message"
Message: TypeAlias = "dict[str, list[Value]]"

_TOKEN: Final = re.compile(
    r"""(?:\s|\#[^\n]*)*(?:
        (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>-?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)[fF]?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<mark>[{}\[\]<>:,;])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(.)")  # names and paths have no others than of quotes and backslashes
_CLOSING: Final = {"{": "}", "<": ">"}
_DEEPEST: Final = 50


class Unparsable(Exception):
    """The text is not in the format; the message has the line."""


class _Reader:
    """The tokens of a text, one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.kind = self.token = ""
        self.next()

    def next(self) -> str:
        """Return the token that was ahead, and read another."""
        token = self.token
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise self.unexpected(self._text[self._position :].split("\n")[0].strip()[:30])
        self.kind = match.lastgroup or ""
        self.token = match[self.kind]
        self._position = match.end()
        return token

    def accept(self, *marks: str) -> str:
        """Return the token ahead if it is one of the marks, and read another; else an empty text."""
        return self.next() if self.kind == "mark" and self.token in marks else ""

    def unexpected(self, found: str) -> Unparsable:
        """Return the error for what does not belong there."""
        line = self._text.count("\n", 0, self._position) + 1
        return Unparsable(f"line {line}: unexpected {found!r}")


def parse(text: str) -> Message:
    """Return a message's fields, each with its values in their order. Raise Unparsable."""
    reader = _Reader(text)
    message = _message(reader, 0)
    if reader.kind != "end":
        raise reader.unexpected(reader.token)
    return message


def _message(reader: _Reader, depth: int) -> Message:
    if depth > _DEEPEST:
        raise reader.unexpected(reader.token)
    message: Message = {}
    while reader.kind == "word":
        values = message.setdefault(reader.next(), [])
        reader.accept(":")
        if reader.accept("["):
            while not reader.accept("]"):
                values.append(_value(reader, depth))
                reader.accept(",")
        else:
            values.append(_value(reader, depth))
        reader.accept(",", ";")
    return message


def _value(reader: _Reader, depth: int) -> Value:
    if opening := reader.accept("{", "<"):
        message = _message(reader, depth + 1)
        if not reader.accept(_CLOSING[opening]):
            raise reader.unexpected(reader.token or "end")
        return message
    kind = reader.kind
    if kind == "string":
        texts = []
        while reader.kind == "string":  # adjacent strings are one
            texts.append(reader.next())
        return "".join(_ESCAPE.sub(r"\1", text[1:-1]) for text in texts)
    if kind == "number":
        return _number(reader.next())
    if kind == "word":
        return reader.next()
    raise reader.unexpected(reader.token or "end")


def _number(text: str) -> int | float:
    try:
        return int(text, 0) if not text.startswith("0") or text[1:2] in ("x", "X", "") else int(text, 8)
    except ValueError:
        return float(text.rstrip("fF"))
