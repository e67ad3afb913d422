"""Many records at once: those that are an instance each become tensors together, whatever form each has.

A record by itself takes five times as long, a line of CSV ten times (`bench/records.py`). Whatever is not plainly an
instance is left to `decode`, record by record, which says what is wrong with it.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

from pilotlight.codec import csv, json_fast
from pilotlight.codec.decode import read_instances
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest, RequestError
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.records.decode import Decoded, EventRecord, decode, instance_names, is_csv, to_bytes

Part: TypeAlias = "tuple[Sequence[int], Decoded]"
"""Inputs of one record or of several that are an instance each, and the records' indices."""

_FIELDS = ("features", "instances", "inputs")

# How to read the payloads of records that have the same attributes.
_READERS: Mapping[type, Callable[[Any], bytes]] = {str: str.encode, bytes: bytes}
_BASE64 = {"content-encoding": "base64"}
_FROM_BASE64 = partial(a2b_base64, strict_mode=True)


def decode_all(
    plane: DataPlane, records: Sequence[EventRecord], max_bytes: int, deadline: float | None = None
) -> tuple[list[Part], dict[int, RequestError]]:
    """Return the inputs of the records in their order, and by its index the error of each that cannot be decoded.

    Features are looked up by the deadline.
    """
    parts: list[Part] = []
    errors: dict[int, RequestError] = {}
    if len(records) > 1 and plane.model.signature.batch == -1:
        parts, errors = _together(plane, records, max_bytes, deadline)
    done = errors.keys() | {index for indices, _ in parts for index in indices}
    for index in range(len(records)) if len(done) < len(records) else ():
        if index not in done:
            try:
                parts.append(((index,), decode(plane, records[index], max_bytes, deadline)))
            except RequestError as error:
                errors[index] = error
    return sorted(parts, key=lambda part: part[0][0]), errors


def _together(
    plane: DataPlane, records: Sequence[EventRecord], max_bytes: int, deadline: float | None
) -> tuple[list[Part], dict[int, RequestError]]:
    """Return the inputs of records that are an instance each, and the errors of those that lack features.

    A record that may be something else is in no part.
    """
    model = plane.model
    documents: dict[int, Any] = {}
    plain = _plain_texts(records, max_bytes)
    texts = dict(enumerate(plain))
    for index, record in enumerate(() if plain else records):
        if isinstance(record.payload, dict):
            documents[index] = record.payload
        elif (text := _json_text(model, record, max_bytes)) is not None:
            texts[index] = text
    documents |= json_fast.parse_all(texts)
    names = frozenset(instance_names(model.signature))
    instances = dict(zip(documents, _instances([*documents.values()], names), strict=True))
    indices = [index for index in sorted(instances) if instances[index] is not None]

    def place(number: int) -> str:
        index = indices[number]
        return "$" if instances[index] is documents[index] else "$.features"

    found = dict(
        zip(indices, plane.complete_each([instances[index] for index in indices], place, deadline), strict=True)
    )
    errors = {index: each for index, each in found.items() if isinstance(each, RequestError)}
    indices = [index for index in indices if index not in errors]
    return list(_parts(model.signature, indices, [found[index] for index in indices])), errors


def _plain_texts(records: Sequence[EventRecord], max_bytes: int) -> list[bytes]:
    """Return the JSON arrays and objects of records that are nothing else and say so alike; none if one may differ.

    C code alone reads them, by the rules of `_json_text`.
    """
    _, payloads, attributes = zip(*records, strict=True)
    kinds = set(map(type, payloads))
    if len(kinds) > 1 or len(set(map(id, attributes))) > 1:
        return []
    read = _READERS.get(kinds.pop()) if not attributes[0] else _FROM_BASE64 if attributes[0] == _BASE64 else None
    if read is None:
        return []
    try:
        texts = [*map(read, payloads)]
    except (ValueError, TypeError):
        return []
    if max(map(len, texts)) > max_bytes or not {text[:1] for text in texts} <= {b"{", b"["}:
        return []
    return texts


def _json_text(model: Description, record: EventRecord, max_bytes: int) -> bytes | None:
    """Return a record's JSON array or object, or its line of CSV as an array; None for what may be something else."""
    attributes = record.attributes
    try:
        content = to_bytes(record, max_bytes)
        if not attributes.get("content-type") and content[:1] in (b"{", b"["):
            return content
        if is_csv(model, content, attributes.get("content-type", "")):
            return csv.to_array(model.signature, content)
    except RequestError:
        return None
    return content


def _instances(documents: list[Any], names: frozenset[str]) -> list[Any]:
    """Return `_instance` of each document."""
    if "features" not in names and set(map(type, documents)) == {dict} and set(map(len, documents)) == {1}:
        with suppress(KeyError):
            return [*map(itemgetter("features"), documents)]
    return [_instance(document, names) for document in documents]


def _instance(document: Any, names: frozenset[str]) -> Any:  # noqa: ANN401 - a JSON value
    """Return the instance in a document, by the rules of `decode`; None for another form."""
    if type(document) is not dict:
        return document
    if len(document) == 1 and "features" in document and "features" not in names:
        return document["features"]
    return None if any(field in document and field not in names for field in _FIELDS) else document


def _parts(signature: Signature, indices: Sequence[int], instances: Sequence[Any]) -> Iterator[Part]:
    """Read instances together; if one of them is invalid or of another shape, each half by itself."""
    if not indices:
        return
    try:
        inputs = read_instances(signature, list(instances), "$")
    except InvalidRequest:
        if len(indices) > 1:
            half = len(indices) // 2
            yield from _parts(signature, indices[:half], instances[:half])
            yield from _parts(signature, indices[half:], instances[half:])
    else:
        yield indices, Decoded(inputs, len(indices), len(indices))
