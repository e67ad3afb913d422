"""Many records of one form at once: their JSON is read as one text, and their rows become tensors together.

A record by itself takes five times as long. Whatever is not plainly of that form is left to `decode`, record by record,
which says what is wrong with it.
"""

from __future__ import annotations

import os
from binascii import Error, a2b_base64
from collections.abc import Sequence
from typing import Any

from pilotlight.codec import json_fast
from pilotlight.codec.decode import read_instances
from pilotlight.errors import InvalidRequest
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor
from pilotlight.records.decode import EventRecord, instance_names

_BASE64 = ("base64", ",base64")
_FIELDS = ("features", "instances", "inputs")


def decode_together(model: Description, records: Sequence[EventRecord], max_bytes: int) -> tuple[Tensor, ...] | None:
    """Return the inputs of records that are an instance each, a row for each; None if any may be something else."""
    orjson = json_fast.library()
    if orjson is None or len(records) < 2 or model.signature.batch != -1:
        return None
    payloads = [_payload(record) for record in records]
    documents = _documents(orjson, payloads, max_bytes)
    if documents is None:
        return None
    names = instance_names(model.signature)
    instances = [_instance(document, names) for document in documents]
    if any(instance is None for instance in instances):
        return None
    try:
        return read_instances(model.signature, instances, "$")
    except InvalidRequest:
        return None


def _payload(record: EventRecord) -> str | bytes | None:
    attributes, payload = record.attributes, record.payload
    if isinstance(payload, dict):
        return None
    if not attributes:
        return payload
    if len(attributes) > 1 or attributes.get("content-encoding") not in _BASE64:
        return None
    try:
        return a2b_base64(payload, strict_mode=True)
    except (Error, ValueError):
        return None


def _documents(orjson: Any, payloads: Sequence[str | bytes | None], max_bytes: int) -> list[Any] | None:  # noqa: ANN401
    """Return the JSON value of each payload; None unless each is one array or object that the strict parser accepts.

    Between the payloads stands a string that nobody could know beforehand. If it is each second value of the whole,
    what is between two of them is one value, whatever the payloads contain.
    """
    mark = os.urandom(16).hex()
    contents: list[bytes] = []
    for payload in payloads:
        try:
            content = payload.encode() if isinstance(payload, str) else payload
        except UnicodeEncodeError:
            return None
        if content is None or content[:1] not in (b"{", b"[") or len(content) > max_bytes:
            return None
        contents.append(content)
    try:
        values: Any = json_fast.parse(orjson, b"[" + f',"{mark}",'.encode().join(contents) + b"]")
    except json_fast.Doubtful:
        return None
    marks = values[1::2]
    if len(values) != 2 * len(contents) - 1 or marks != [mark] * len(marks):
        return None
    return values[::2]  # type: ignore[no-any-return]


def _instance(document: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - a JSON value
    """Return the instance in a document, by the rules of `decode`; None for another form."""
    if type(document) is list:
        return document
    if len(document) == 1 and "features" in document and "features" not in names:
        return document["features"]
    return None if any(field in document and field not in names for field in _FIELDS) else document
