"""From a request's bytes to JSON values, with nothing lost and nothing guessed."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.codec import json_fast, json_strict
from pilotlight.errors import UnsupportedMediaType
from pilotlight.model.json_document import describe


def read_body(headers: Mapping[str, str], body: bytes) -> object:
    """The JSON value in a body of UTF-8. Raises UnsupportedMediaType or InvalidRequest.

    What is taken and what is refused is `json_strict.parse`'s word, whichever parser reads.
    """
    content_type = headers.get("content-type")
    if content_type and content_type != "application/json":
        _check_media_type(content_type)
    return read_json(body)


def read_json(body: bytes) -> object:
    """The JSON value in a body's bytes, whatever its headers say. Raises InvalidRequest."""
    orjson = json_fast.library(len(body))
    if orjson is not None:
        try:
            return json_fast.parse(orjson, body)
        except json_fast.Doubtful:
            pass  # the strict parser takes it, or says what is wrong
    return json_strict.parse(body)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"found content type {describe(media_type)}, expected application/json",
        )
