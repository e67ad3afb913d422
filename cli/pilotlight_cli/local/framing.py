"""Reads HTTP/1.1 requests as strictly as the servers that the local front stands for: gunicorn, API Gateway.

Whatever leaves the end of a head, a chunk or a body open is refused (RFC 9112): two servers that read it differently
see different requests.
"""

from __future__ import annotations

import io
import re
import time
from email.message import Message
from http import HTTPStatus
from socket import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Of an HTTP API: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
MAX_HEAD_BYTES = 10_240

# Bytes of a chunk's size with its extensions, and of all trailers.
_MAX_CHUNK_LINE = 4_096
_MAX_TRAILERS = 8_192

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_REQUEST_LINE = re.compile(rb"[A-Z]{3,20} (?:[a-zA-Z][a-zA-Z0-9+.-]*://[^/?]+)?([/?*][!-~]*|) HTTP/1\.[01]\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[\t -~\x80-\xff]*\r\n")
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*\r\n")

# RFC 9112, section 7: these are defined, and only the first is understood here.
_CODINGS = ("chunked", "compress", "deflate", "gzip", "identity")

# RFC 9110, section 5.3: names whose values cannot be joined.
_SINGLE = (b"host", b"content-type")

# RFC 9110, section 6.5.1: they change how a message is read.
_NO_TRAILERS = (b"authorization", b"content-length", b"host", b"te", b"trailer", b"transfer-encoding")


class MalformedHead(Exception):
    """A head that is refused; `status` is the response's."""

    def __init__(self, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(status.phrase)
        self.status = status


class MalformedBody(OSError):
    """A body whose chunks are malformed, or that ends early."""


class Arriving(io.RawIOBase):
    """What a client sends, within a time."""

    def __init__(self, connection: socket, seconds: float | None) -> None:
        """`seconds` are for all reads together, from now on; None is no limit."""
        self._connection = connection
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def limit(self, seconds: float) -> None:
        """End the time after so many seconds, if it would not end earlier."""
        deadline = time.monotonic() + seconds
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what has arrived, and wait for it. Raise TimeoutError."""
        if self._deadline is None:
            return self._connection.recv_into(buffer)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(None)


def read_head(first: bytes, stream: io.BufferedIOBase) -> tuple[str, bytes]:
    """Return the target of a request line, in origin form, and the header lines behind it. Raise MalformedHead."""
    if len(first) > MAX_HEAD_BYTES:
        raise MalformedHead(HTTPStatus.REQUEST_URI_TOO_LONG)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None or (match[1] == b"*" and not first.startswith(b"OPTIONS ")):
        raise MalformedHead
    target = match[1].decode()
    lines, names = bytearray(), []
    while (line := stream.readline(MAX_HEAD_BYTES)) != b"\r\n":
        lines += line
        if len(first) + len(lines) > MAX_HEAD_BYTES:
            raise MalformedHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        field = _FIELD.fullmatch(line)
        if field is None:
            raise MalformedHead
        names.append(field[1].lower())
    if any(names.count(name) > 1 for name in _SINGLE):
        raise MalformedHead
    return target if target.startswith(("/", "*")) else f"/{target}", bytes(lines) + line


def body_length(headers: Message, version: str) -> int | None:
    """Return the bytes of a request's body, or None for a body in chunks. Raise MalformedHead."""
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise MalformedHead(HTTPStatus.EXPECTATION_FAILED)
    lengths = [value.strip(" \t") for value in headers.get_all("content-length", [])]
    lists = headers.get_all("transfer-encoding", [])
    codings = [one.strip(" \t").lower() for value in lists for one in value.split(",")]
    if not set(codings) <= set(_CODINGS):
        raise MalformedHead(HTTPStatus.NOT_IMPLEMENTED)
    if codings:
        if codings != ["chunked"] or lengths or version == "HTTP/1.0":
            raise MalformedHead
        return None
    if len(lengths) > 1 or not all(length.isdecimal() and len(length) < 20 for length in lengths):
        raise MalformedHead
    return int(lengths[0]) if lengths else 0


class Body(io.RawIOBase):
    """A request's body. Reading it raises MalformedBody, or what reading the stream raises."""

    def __init__(self, stream: io.BufferedIOBase, length: int | None) -> None:
        """`length` is None for a body in chunks."""
        self._stream = stream
        self._left = length or 0
        self._has_chunks = length is None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read a part of the body."""
        if self._has_chunks and not self._left:
            self._begin_chunk()
        view = memoryview(buffer).cast("B")
        size = min(self._left, len(view))
        content = self._stream.read(size)
        if len(content) < size:
            raise MalformedBody
        view[:size] = content
        self._left -= size
        if self._has_chunks and not self._left and self._stream.read(2) != b"\r\n":
            raise MalformedBody
        return size

    def _begin_chunk(self) -> None:
        match = _CHUNK.fullmatch(self._stream.readline(_MAX_CHUNK_LINE))
        if match is None:
            raise MalformedBody
        self._left = int(match[1], 16)
        if not self._left:
            self._read_trailers()
            self._has_chunks = False

    def _read_trailers(self) -> None:
        size = 0
        while (line := self._stream.readline(_MAX_TRAILERS)) != b"\r\n":
            size += len(line)
            field = _FIELD.fullmatch(line)
            if field is None or field[1].lower() in _NO_TRAILERS or size > _MAX_TRAILERS:
                raise MalformedBody
