"""Records in an object of a bucket: a JSON document, or lines of JSON."""

from __future__ import annotations

from posixpath import basename, splitext

from pilotlight.errors import TooLarge, UnsupportedMediaType
from pilotlight.model.json_document import describe
from pilotlight.records.decode import EventRecord, unpacked

# The ends of names, also before `.gz`.
_LINES = (".jsonl", ".ndjson")
_DOCUMENT = (".json", "")

# A record in memory takes a hundred times the bytes of a short line.
_MAX_LINES = 10_000

_ADVICE = "score it with `pilotlight batch`"


def check_object(name: str, size: int, max_bytes: int) -> None:
    """Raise UnsupportedMediaType or TooLarge for an object that is not to be read, by its name and its bytes."""
    ending = _ending(name)
    if ending not in (*_LINES, *_DOCUMENT):
        found = describe(ending)
        expected = "a JSON document (.json) or JSON Lines (.jsonl, .ndjson), each also with .gz"
        raise UnsupportedMediaType(f"found an object that ends in {found}, expected {expected}; {_ADVICE}")
    if size > max_bytes:
        raise TooLarge(f"the object has {size} bytes, the limit is {max_bytes}; {_ADVICE}")


def read_object(id_: str, name: str, content: bytes, max_bytes: int) -> list[EventRecord]:
    """Return the records of an object: one, or one for each line that is not empty, with the line's number in its id.

    Raise TooLarge or InvalidRequest for one that unpacks to more than `max_bytes`, has too many lines or is no gzip.
    """
    try:
        content = unpacked(content, max_bytes)
    except TooLarge as error:
        raise TooLarge(f"{error.message}; {_ADVICE}") from None
    if _ending(name) in _DOCUMENT:
        return [EventRecord(id_, content)]
    lines = content.split(b"\n")
    records = [EventRecord(f"{id_}#{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(records) > _MAX_LINES:
        raise TooLarge(f"the object has {len(records)} records, the limit is {_MAX_LINES}; {_ADVICE}")
    return records


def _ending(name: str) -> str:
    return splitext(basename(name.lower().removesuffix(".gz")))[1]
