"""Read a request's bytes as JSON values and check their fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pilotlight.codec import json_fast, json_strict
from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.model.json_document import describe


def read_body(headers: Mapping[str, str], body: bytes) -> object:
    """Parse a body of UTF-8. Raise UnsupportedMediaType or InvalidRequest.

    Whichever parser reads, the rules are those of `json_strict.parse`.
    """
    content_type = headers.get("content-type")
    if content_type and content_type != "application/json":
        _check_media_type(content_type)
    return read_json(body)


def read_json(body: bytes) -> object:
    """Parse a body, whatever its headers say. Raise InvalidRequest."""
    orjson = json_fast.library()
    if orjson is not None:
        try:
            return json_fast.parse(orjson, body)
        except json_fast.Doubtful:
            pass  # the strict parser accepts it or names the error
    return json_strict.parse(body)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"found content type {describe(media_type)}, expected application/json",
        )


def read_fields(value: object, path: str, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """Return an object's fields: all of `required`, and no others than these and `optional`. Raise InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"expected an object{_with(required)}, found {describe(value)}", path)
    for name in required:
        if name not in value:
            raise InvalidRequest(f"the field {describe(name)} is missing", path)
    for name in value:
        if name not in required and name not in optional:
            known = ", ".join(map(describe, (*required, *optional)))
            raise InvalidRequest(f"unknown field {describe(name)}, expected only {known}", path)
    return value


def read_one_of(document: object, names: Collection[str]) -> tuple[str, Any]:
    """Return the name and the value of a body's one field, which is one of `names`. Raise InvalidRequest."""
    known = ", ".join(map(describe, names))
    if not isinstance(document, dict):
        raise InvalidRequest(f"expected an object with one of the fields {known}, found {describe(document)}", "$")
    unknown = next((name for name in document if name not in names), None)
    if unknown is not None:
        raise InvalidRequest(f"unknown field {describe(unknown)}, expected only one of {known}", "$")
    if len(document) != 1:
        found = "none of them" if not document else ", ".join(map(describe, document))
        raise InvalidRequest(f"expected exactly one of the fields {known}, found {found}", "$")
    return next(iter(document.items()))


def _with(required: Collection[str]) -> str:
    names = " and ".join(map(describe, required))
    return f" with the field{'s' if len(required) > 1 else ''} {names}" if required else ""
