"""Tensors as bytes: the binary tensor data extension of the Open Inference Protocol.

The body is the JSON document and then the tensors' bytes, in the order in which the document names them. They are
little-endian, as are all processors that the functions run on; a string is its length in four bytes and then its UTF-8.
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from struct import Struct

from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from pilotlight.model.json_document import describe
from pilotlight.model.tensor import BOOL, BYTES, Buffer, Datatype, Tensor

HEADER = "inference-header-content-length"
MEDIA_TYPE = "application/octet-stream"

_LENGTH = Struct("<I")


def split(headers: Mapping[str, str], body: bytes) -> tuple[bytes, memoryview | None]:
    """The JSON document's bytes and the tensors', or None where without the header all is the document.

    API Gateway takes what is called JSON for text, and replaces what is none in it: a wrong number could arrive
    unnoticed. So bytes that follow the document have to be called bytes.
    """
    text = headers.get(HEADER)
    if text is None:
        return body, None
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) > len(body):
        raise InvalidRequest(
            f"the header {HEADER} is {describe(text)}, expected how many of the body's {len(body)} bytes are JSON"
        )
    length = int(text)
    media_type = (headers.get("content-type") or MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE and (length < len(body) or media_type != "application/json"):
        raise UnsupportedMediaType(f"found content type {describe(media_type)} with binary data, expected {MEDIA_TYPE}")
    return body[:length], memoryview(body)[length:]


class Data:
    """The bytes behind a document, from which tensors are taken one after the other."""

    def __init__(self, content: memoryview | None) -> None:
        self._announced = content is not None
        self._content = memoryview(b"") if content is None else content
        self._taken = 0

    def take(self, datatype: Datatype, shape: tuple[int, ...], size: object, path: str) -> Tensor:
        """The next tensor, over the same memory where that is aligned. `path` is the tensor's place in the document."""
        place = f"{path}.parameters.binary_data_size"
        if type(size) is not int or size < 0:
            raise InvalidRequest(f"expected a number of bytes, found {describe(size)}", place)
        if size and not self._announced:
            raise InvalidRequest(f"binary data needs the header {HEADER}", place)
        left = len(self._content) - self._taken
        if size > left:
            raise InvalidRequest(f"expected {size} bytes of binary data, found {left}", place)
        if datatype is not BYTES and size != prod(shape) * datatype.size:
            expected = f"{prod(shape) * datatype.size} for {datatype.name} of shape {list(shape)}"
            raise InvalidRequest(f"expected {expected}, found {size}", place)
        part = self._content[self._taken : self._taken + size]
        aligned = self._taken_offset() % (datatype.size or 1) == 0
        self._taken += size
        if datatype is BYTES:
            return Tensor(datatype, shape, _read_strings(part, prod(shape), path))
        if datatype is BOOL and bytes(part).translate(None, b"\0\1"):
            raise InvalidRequest("expected bytes of 0 or 1 (BOOL)", path)
        return Tensor(datatype, shape, part if aligned else bytes(part))

    def _taken_offset(self) -> int:
        """Where the next tensor begins in the body, whose own memory is aligned for every datatype."""
        return len(self._content.obj) - len(self._content) + self._taken  # type: ignore[arg-type]

    def check_taken(self) -> None:
        """Refuse bytes that belong to no tensor."""
        left = len(self._content) - self._taken
        if left:
            raise InvalidRequest(f"{left} bytes of binary data belong to no input", "$.inputs")


def _read_strings(content: memoryview, count: int, path: str) -> list[str]:
    strings: list[str] = []
    position = 0
    while position < len(content):
        place = f"{path}: string {len(strings)}"
        start = position + _LENGTH.size
        if start > len(content):
            raise InvalidRequest(f"{place} has no length of four bytes", path)
        (length,) = _LENGTH.unpack_from(content, position)
        position = start + length
        if position > len(content):
            raise InvalidRequest(f"{place} has {length} bytes, and {len(content) - start} are left", path)
        try:
            strings.append(str(content[start:position], "utf-8"))
        except UnicodeDecodeError:
            raise InvalidRequest(f"{place} is not UTF-8", path) from None
    if len(strings) != count:
        raise InvalidRequest(f"expected {count} strings, found {len(strings)}", path)
    return strings


def write(tensor: Tensor) -> bytes | memoryview:
    """A tensor's bytes, over the same memory but for strings."""
    if isinstance(tensor.data, list):
        return _write_strings(tensor.data)
    return _bytes(tensor.data)


def _bytes(data: Buffer) -> memoryview:
    return memoryview(data).cast("B")


def _write_strings(strings: Sequence[str]) -> bytes:
    parts: list[bytes] = []
    for text in strings:
        content = text.encode("utf-8", "surrogatepass")
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)
