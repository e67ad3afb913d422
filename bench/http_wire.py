"""HTTP/1.1 on a bare socket: a client library would cost more than some of what is measured."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass

_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    status: int
    body: bytes


def post(path: str, document: object) -> bytes:
    """Return the bytes of a request that leaves its connection open."""
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def reply_in(received: bytes) -> Reply | None:
    """Return the reply, once all of it was received. Raises ValueError for one whose length nobody says."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    if _CHUNKED.search(head):
        return Reply(int(head[9:12]), _joined(body)) if body.endswith(_LAST_CHUNK) else None
    length = _LENGTH.search(head)
    if length is None:
        raise ValueError(f"a reply without a length: {head[:200]!r}")
    return Reply(int(head[9:12]), body) if len(body) >= int(length[1]) else None


def _joined(chunks: bytes) -> bytes:
    """Return a body that came in chunks (RFC 9112, 7.1)."""
    parts, at = [], 0
    while size := int(chunks[at : (end := chunks.index(b"\r\n", at))].partition(b";")[0], 16):
        parts.append(chunks[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)


def ask(port: int, request: bytes, seconds: float) -> Reply | None:
    """Return the reply to one request on a connection of its own; None where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.sendall(request)
            received = b""
            while (reply := reply_in(received)) is None:
                more = connection.recv(1 << 16)
                if not more:
                    return None
                received += more
            return reply
    except OSError:
        return None
