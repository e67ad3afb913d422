"""Tensors as bytes: the binary tensor data extension of the Open Inference Protocol.

The body is the JSON document followed by the tensors' bytes, in the order in which the document names them. They are
little-endian, as are all processors that the functions run on; a string is its length in four bytes and then its UTF-8.
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from struct import Struct

from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import BOOL, BYTES, Buffer, Datatype, Strings, Tensor

HEADER = "inference-header-content-length"
MEDIA_TYPE = "application/octet-stream"

# The parameter of an input whose bytes are an object in a store: our own, since the protocol has none.
BY_REFERENCE = "binary_data_url"
BYTE_FORMS = ("binary_data_size", BY_REFERENCE)

_LENGTH = Struct("<I")


def split(headers: Mapping[str, str], body: bytes) -> tuple[bytes, memoryview | None]:
    """Split a body into the JSON document and the tensors' bytes, which are None without the header.

    API Gateway treats a body of a JSON media type as text and replaces bytes that are not UTF-8, which could change
    numbers unnoticed. So a body with binary data needs the media type of bytes. Raise InvalidRequest or
    UnsupportedMediaType.
    """
    text = headers.get(HEADER)
    if text is None:
        return body, None
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) > len(body):
        raise InvalidRequest(
            f"the header {HEADER} is {describe(text)}, expected the number of JSON bytes, at most {len(body)}"
        )
    length = int(text)
    media_type = (headers.get("content-type") or MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE and (length < len(body) or media_type != "application/json"):
        raise UnsupportedMediaType(f"found content type {describe(media_type)} with binary data, expected {MEDIA_TYPE}")
    return body[:length], memoryview(body)[length:]


class Data:
    """The bytes after a document, from which tensors are read one after the other."""

    def __init__(
        self, content: memoryview | None, read_object: Callable[[str, int, str], bytearray] | None = None
    ) -> None:
        """`read_object` returns an object's bytes, from its URL, its size and its place; None refuses references."""
        self._has_header = content is not None
        self._content = memoryview(b"") if content is None else content
        self._position = 0
        self._read_object = read_object

    def read(self, datatype: Datatype, shape: tuple[int, ...], size: object, path: str) -> Tensor:
        """Return the next tensor, over the same memory if that is aligned. `path` is its place in the document."""
        place = f"{path}.parameters.binary_data_size"
        if type(size) is not int or size < 0:
            raise InvalidRequest(f"expected a number of bytes, found {describe(size)}", place)
        if size and not self._has_header:
            raise InvalidRequest(f"binary data requires the header {HEADER}", place)
        left = len(self._content) - self._position
        if size > left:
            raise InvalidRequest(f"expected {size} bytes of binary data, found {left}", place)
        if datatype is not BYTES and size != prod(shape) * datatype.size:
            expected = f"{prod(shape) * datatype.size} bytes for {datatype.name} of shape {list(shape)}"
            raise InvalidRequest(f"expected {expected}, found {size}", place)
        part = self._content[self._position : self._position + size]
        aligned = self._offset() % (datatype.size or 1) == 0
        self._position += size
        if datatype is BYTES:
            return Tensor(datatype, shape, _read_strings(part, prod(shape), path))
        _check_booleans(datatype, part, path)
        return Tensor(datatype, shape, part if aligned else bytes(part))

    def fetch(self, datatype: Datatype, shape: tuple[int, ...], url: object, path: str) -> Tensor:
        """Return the tensor whose bytes are the object at `url`. Raise RequestError."""
        place = f"{path}.parameters.{BY_REFERENCE}"
        if not isinstance(url, str):
            raise InvalidRequest(f"expected the URL of an object, found {describe(url)}", place)
        if self._read_object is None:
            raise InvalidRequest("an input by reference needs a request over HTTP", place)
        if datatype is BYTES:
            raise InvalidRequest("BYTES cannot be sent by reference: their shape gives no size", place)
        content = self._read_object(url, prod(shape) * datatype.size, place)
        _check_booleans(datatype, content, path)
        return Tensor(datatype, shape, content)

    def _offset(self) -> int:
        """Return the next tensor's offset in the body, whose own memory is aligned for every datatype."""
        return len(self._content.obj) - len(self._content) + self._position  # type: ignore[arg-type]

    def check_end(self) -> None:
        """Raise InvalidRequest if bytes follow the last tensor."""
        left = len(self._content) - self._position
        if left:
            raise InvalidRequest(f"found {left} bytes of binary data after the last input", "$.inputs")


def _check_booleans(datatype: Datatype, content: bytearray | memoryview, path: str) -> None:
    if datatype is BOOL and bytes(content).translate(None, b"\0\1"):
        raise InvalidRequest("expected bytes of 0 or 1 (BOOL)", path)


def _read_strings(content: memoryview, count: int, path: str) -> list[str]:
    strings: list[str] = []
    position = 0
    while position < len(content):
        name = f"string {len(strings)}"
        start = position + _LENGTH.size
        if start > len(content):
            raise InvalidRequest(f"{name}: expected its length in 4 bytes, found {len(content) - position}", path)
        (length,) = _LENGTH.unpack_from(content, position)
        position = start + length
        if position > len(content):
            raise InvalidRequest(f"{name}: expected {length} bytes, found {len(content) - start}", path)
        try:
            strings.append(str(content[start:position], "utf-8"))
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name} is not UTF-8", path) from None
    if len(strings) != count:
        raise InvalidRequest(f"expected {count} strings, found {len(strings)}", path)
    return strings


def write(tensor: Tensor) -> bytes | memoryview:
    """Return a tensor's bytes, over the same memory except for strings."""
    if isinstance(tensor.data, list):
        return _write_strings(tensor.data)
    return _bytes(tensor.data)


def _bytes(data: Buffer) -> memoryview:
    return memoryview(data).cast("B")


def _write_strings(strings: Strings) -> bytes:
    parts: list[bytes] = []
    for text in strings:
        content = (text or "").encode("utf-8", "surrogatepass")
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)
