"""From a request's bytes to JSON values, with nothing lost and nothing guessed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.reader import child, describe


def read_body(headers: Mapping[str, str], body: bytes) -> object:
    """The JSON value in a body.

    Stricter than Python's own parser: UTF-8 only, no duplicate keys (RFC 8259, 4: their meaning is unpredictable), no
    NaN or Infinity. Raises UnsupportedMediaType or InvalidRequest.
    """
    _check_media_type(headers.get("content-type") or "application/json")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text.strip():
        raise InvalidRequest("the body is empty, expected a JSON object", "$")
    try:
        return _parse(text, _unique, _refuse_constant)
    except _FaultyValue:
        raise _fault(_parse(text, _Pairs, _Constant)) from None


def _parse(text: str, pairs: Callable[[list[tuple[str, object]]], object], constant: Callable[[str], object]) -> object:
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"the body is not valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError:  # the parser bounds the digits of a whole number
        raise InvalidRequest("the body has a whole number with too many digits") from None


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"found content type {describe(media_type)}, expected application/json",
        )


class _FaultyValue(Exception):
    """Something that JSON does not have or that we do not take; `_fault` says where."""


class _Pairs(list[tuple[str, object]]):
    """An object whose keys were kept as they came."""


class _Constant(str):
    """NaN, Infinity or -Infinity as it stood in the text."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _FaultyValue
    return fields


def _refuse_constant(_name: str) -> NoReturn:
    raise _FaultyValue


def _fault(document: object) -> InvalidRequest:
    """Find the place, in a document that was parsed again and forgivingly; only wrong bodies pay for it.

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
            steps.append(step)
            walks.append(iter(value))
        elif isinstance(value, list):
            steps.append(step)
            walks.append(iter(enumerate(value)))
    return InvalidRequest("the body is not valid JSON")


def _path(steps: list[object]) -> str:
    path = "$"
    for step in steps[1:]:
        path = f"{path}[{step}]" if isinstance(step, int) else child(path, str(step))
    return path
