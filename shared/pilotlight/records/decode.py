"""From a record's payload to validated tensors, by the code that HTTP uses."""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

from pilotlight.codec import csv
from pilotlight.codec.body import read_fields, read_json
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.predict import batch_document

# The names and the first bytes of gzip: RFC 9110, 8.4.1.3, and RFC 1952, 2.3.1.
_GZIP_NAMES = ("gzip", "x-gzip")
_GZIP_BYTES = b"\x1f\x8b"

_Row = TypeVar("_Row", bound=tuple[Any, ...])


def made(kind: type[_Row], *columns: Iterable[Any]) -> list[_Row]:
    """Return instances of a NamedTuple from a column for each of its fields, one of which may end before the others.

    C code alone makes them: one by one they take four times as long, which is most of what a record costs.
    """
    return [*map(partial(tuple.__new__, kind), zip(*columns, strict=False))]


class EventRecord(NamedTuple):
    """A record: its id, its payload, and its attributes by lower-case name.

    The payload is bytes or text, or a JSON object where its envelope contained it as one. The attributes `content-type`
    and `content-encoding` (`gzip` and `base64`, in the order in which they were applied) say how to read it; without
    them it is JSON, or a line of CSV if it does not begin like a JSON object, array or string. Gzip is known by its
    first bytes too.
    """

    id: str
    payload: bytes | str | dict[str, Any]
    attributes: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record's inputs.

    `rows` is their number of instances, None if they have to run alone. `checked_rows` is the number of rows that each
    output must have if they do run alone, None if only the signature's shapes count. `document` makes the result from
    this record's outputs; None for a single instance.
    """

    inputs: tuple[Tensor, ...]
    rows: int | None
    checked_rows: int | None
    document: Callable[[Sequence[Tensor]], dict[str, object]] | None = None


def decode(plane: DataPlane, record: EventRecord, max_bytes: int, deadline: float | None = None) -> Decoded:
    """Return a record's inputs. Raise a RequestError with the path of the fault.

    The forms: what /predict, /predict_batch and V2's infer take, an instance by itself, and a line of CSV.
    """
    model, payload = plane.model, record.payload
    if isinstance(payload, dict):
        return _read_document(plane, payload, deadline)
    content = to_bytes(record, max_bytes)
    if is_csv(model, content, record.attributes.get("content-type", "")):
        return _instance(model, csv.read_line(model.signature, _to_text(content)))
    return _read_document(plane, read_json(content), deadline)


def to_bytes(record: EventRecord, max_bytes: int) -> bytes:
    """Return the payload of a record that is no dict, without its encodings. Raise a RequestError, also if it is large.

    They are named in the order in which they were applied.
    """
    payload, encoding = record.payload, record.attributes.get("content-encoding")
    try:
        content: bytes = payload if isinstance(payload, bytes) else payload.encode()  # type: ignore[union-attr]
    except UnicodeEncodeError:
        raise InvalidRequest("the payload contains an unpaired surrogate") from None
    if encoding:
        names = [*_encodings(encoding)]
        if isinstance(payload, str) and names and names[-1] in _GZIP_NAMES:
            names.append("base64")  # no text has gzip's first bytes
        while names:
            content = _decoded(names.pop(), content, max_bytes)
    content = unpacked(content, max_bytes)
    if len(content) > max_bytes:
        raise TooLarge(f"the payload has {len(content)} bytes, the limit is {max_bytes}")
    return content


@lru_cache(16)
def _encodings(header: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in header.split(",") if name.strip())


def _decoded(encoding: str, content: bytes, max_bytes: int) -> bytes:
    if encoding == "base64":
        return _from_base64(content)
    if encoding in _GZIP_NAMES:
        return _unzipped(content, max_bytes)
    raise UnsupportedMediaType(f"found content encoding {describe(encoding)}, expected gzip, base64 or none")


def _from_base64(content: bytes | str) -> bytes:
    try:
        return a2b_base64(content, strict_mode=True)
    except Error as error:
        raise InvalidRequest(f"the payload is not valid base64: {error}") from None


def unpacked(content: bytes, max_bytes: int) -> bytes:
    """Return bytes without gzip, which its first bytes tell. Raise TooLarge above `max_bytes`, or InvalidRequest."""
    return _unzipped(content, max_bytes) if content.startswith(_GZIP_BYTES) else content


def _unzipped(content: bytes, max_bytes: int) -> bytes:
    """Unpack gzip, also of several members."""
    import zlib  # noqa: PLC0415 - few records need it
    from gzip import GzipFile  # noqa: PLC0415
    from io import BytesIO  # noqa: PLC0415

    try:
        with GzipFile(fileobj=BytesIO(content)) as file:
            unpacked = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidRequest(f"the payload is not valid gzip: {error}") from None
    if len(unpacked) > max_bytes:
        raise TooLarge(f"the payload has more than {max_bytes} bytes after gzip, the limit")
    return unpacked


def is_csv(model: Description, content: bytes, content_type: str) -> bool:
    """Tell a line of CSV from JSON. Raise UnsupportedMediaType."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/csv":
        return True
    if media_type == "application/json" or media_type.endswith("+json"):
        return False
    if media_type not in ("", "text/plain", "application/octet-stream"):
        raise UnsupportedMediaType(f"found content type {describe(media_type)}, expected application/json or text/csv")
    return model.signature.takes_features and content.lstrip()[:1] not in (b"", b"{", b"[", b'"')


def _to_text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the payload is not UTF-8: {error.reason} at byte {error.start}") from None


def _read_document(plane: DataPlane, document: object, deadline: float | None) -> Decoded:
    """Read a JSON value. A feature's own name takes precedence over a field of a request."""
    model = plane.model
    signature = model.signature
    if isinstance(document, dict):
        fields = document.keys() - set(instance_names(signature))
        if "features" in fields:
            value = read_fields(document, "$", ("features",))["features"]
            return _instance(model, plane.read_instance(value, "$.features", deadline))
        if "instances" in fields:
            value = read_fields(document, "$", ("instances",))["instances"]
            inputs = plane.read_instances(value, "$.instances", deadline)
            rows = inputs[0].shape[0]
            return Decoded(inputs, rows, rows, lambda outputs: batch_document(model, outputs))
        if "inputs" in fields:
            return _read_inference(model, document)
    return _instance(model, plane.read_instance(document, "$", deadline))


def instance_names(signature: Signature) -> tuple[str, ...]:
    """Return the names in an instance that is an object."""
    if signature.takes_features or len(signature.inputs) == 1:
        return signature.feature_names
    return tuple(tensor.name for tensor in signature.inputs)


def _instance(model: Description, inputs: tuple[Tensor, ...]) -> Decoded:
    return Decoded(inputs, None if model.signature.batch is None else 1, 1)


def _read_inference(model: Description, document: dict[str, Any]) -> Decoded:
    from pilotlight.protocols.v2 import routes  # noqa: PLC0415 - other forms do without
    from pilotlight.protocols.v2.binary import Data  # noqa: PLC0415
    from pilotlight.protocols.v2.request import read_inference  # noqa: PLC0415

    inference = read_inference(model, document, Data(None))
    routes.check_text(inference, "a record's result is JSON")
    signature = model.signature
    rows = inference.inputs[0].shape[0] if signature.batch is not None else None

    def to_document(outputs: Sequence[Tensor]) -> dict[str, object]:
        return routes.inference_document(model, inference, outputs, [])

    return Decoded(inference.inputs, rows or None, rows if signature.takes_features else None, to_document)
