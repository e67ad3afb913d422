"""From a request's bytes to JSON values, with nothing lost and nothing guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.reader import describe


def read_body(headers: Mapping[str, str], body: bytes) -> object:
    """The JSON value in a body.

    Stricter than Python's own parser: UTF-8 only, no duplicate keys (RFC 8259, 4: their meaning is unpredictable), no
    NaN or Infinity. Raises UnsupportedMediaType or InvalidRequest.
    """
    _check_media_type(headers.get("content-type", "application/json"))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text.strip():
        raise InvalidRequest("the body is empty, expected a JSON object", "$")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"the body is not valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except _FaultyValue:
        _name_the_place(text)
    except ValueError:  # the parser bounds the digits of a whole number
        raise InvalidRequest("the body has a whole number with too many digits") from None


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"found content type {describe(media_type)}, expected application/json",
        )


class _FaultyValue(Exception):
    """Something that JSON does not have or that we do not take; `_name_the_place` says where."""


class _Pairs(list[tuple[str, object]]):
    """An object whose keys were kept as they came."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _FaultyValue
    return fields


def _refuse_constant(_name: str) -> NoReturn:
    raise _FaultyValue


class _Constant(str):
    """NaN, Infinity or -Infinity as it stood in the text."""

    __slots__ = ()


def _name_the_place(text: str) -> NoReturn:
    """Parse again, slowly and forgivingly, to say where the fault is; only wrong bodies pay for it."""
    value = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_Constant)
    pending: list[tuple[str, object]] = [("$", value)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _Constant):
            raise InvalidRequest(f"{value} is not JSON, expected a number", path)
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key, _ in value:
                if key in seen:
                    raise InvalidRequest(f"the key {describe(key)} stands there twice", path)
                seen.add(key)
            pending.extend((f"{path}.{key}", item) for key, item in reversed(value))
        elif isinstance(value, list):
            pending.extend((f"{path}[{index}]", item) for index, item in reversed(list(enumerate(value))))
    raise InvalidRequest("the body is not valid JSON")
