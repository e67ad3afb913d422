"""Many records at once: those that are an instance each become tensors together, whatever form each has.

A record by itself takes five times as long, a line of CSV ten times (`bench/records.py`). Whatever is not plainly an
instance is left to `decode`, record by record, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from pilotlight.codec import csv, json_fast
from pilotlight.codec.decode import read_instances
from pilotlight.errors import InvalidRequest, RequestError
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.records.decode import Decoded, EventRecord, decode, instance_names, is_csv, to_bytes

Part: TypeAlias = "tuple[Sequence[int], Decoded]"
"""Inputs of one record or of several that are an instance each, and the records' indices."""

_FIELDS = ("features", "instances", "inputs")


def decode_all(
    model: Description, records: Sequence[EventRecord], max_bytes: int
) -> tuple[list[Part], dict[int, RequestError]]:
    """Return the inputs of the records in their order, and by its index the error of each that cannot be decoded."""
    parts = _together(model, records, max_bytes) if len(records) > 1 and model.signature.batch == -1 else []
    done = {index for indices, _ in parts for index in indices}
    errors: dict[int, RequestError] = {}
    for index in range(len(records)) if len(done) < len(records) else ():
        if index not in done:
            try:
                parts.append(((index,), decode(model, records[index], max_bytes)))
            except RequestError as error:
                errors[index] = error
    return sorted(parts, key=lambda part: part[0][0]), errors


def _together(model: Description, records: Sequence[EventRecord], max_bytes: int) -> list[Part]:
    """Return the inputs of records that are an instance each; a record that may be something else is in no part."""
    documents: dict[int, Any] = {}
    texts: dict[int, bytes] = {}
    for index, record in enumerate(records):
        if isinstance(record.payload, dict):
            documents[index] = record.payload
        elif (text := _json_text(model, record, max_bytes)) is not None:
            texts[index] = text
    documents |= json_fast.parse_all(texts)
    names = frozenset(instance_names(model.signature))
    instances = {index: _instance(document, names) for index, document in documents.items()}
    indices = [index for index in sorted(instances) if instances[index] is not None]
    return list(_parts(model.signature, indices, [instances[index] for index in indices]))


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
