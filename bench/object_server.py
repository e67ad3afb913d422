"""A server with S3's shape, a program of its own: `object_server.py CERTIFICATE KEY FOLDER`.

HTTPS on a free port of 127.0.0.1, which is the first line that it prints; then a line for each request. It answers GET
and HEAD of `/BUCKET/KEY` with the file of that path, whole or in one range, and believes every signature. What makes it
S3's shape: TLS, a while to the first byte, and a limit on each connection, which holds over all of its requests.

It is run by a bare interpreter and imports the standard library alone. Encrypting and sending let go of the
interpreter, so that threads keep two processors busy.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FIRST_BYTE = 0.020  # seconds
RATE = 80e6  # bytes a second on one connection

_PIECE = 1 << 18  # bytes between two looks at the clock
_HEAD_LIMIT = 1 << 16
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)
_IF_MATCH = re.compile(rb"\r\nif-match: *(\S+)", re.IGNORECASE)
_REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 405: "Method Not Allowed"}
_REASONS |= {412: "Precondition Failed", 416: "Range Not Satisfiable"}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: in memory, since S3's disks are none of the function's."""

    content: bytes
    etag: str
    modified: str


class Objects:
    """The files of a folder, read once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._read: dict[str, Stored] = {}
        self._turn = threading.Lock()

    def get(self, target: str) -> Stored | None:
        """Return the object at a path, or None."""
        path = (self._folder / target.partition("?")[0].lstrip("/")).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            return None
        with self._turn:
            if target not in self._read:
                content = path.read_bytes()
                digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
                self._read[target] = Stored(content, f'"{digest}"', email.utils.formatdate(usegmt=True))
            return self._read[target]


class Connection:
    """One caller, until it goes."""

    def __init__(self, caller: ssl.SSLSocket, objects: Objects) -> None:
        self._caller = caller
        self._objects = objects
        self._received = b""
        self._free = 0.0  # when the next byte may go

    def serve(self) -> None:
        """Answer one request after the other."""
        while head := self._head():
            method, target = head.split(b" ", 2)[:2]
            asked = _RANGE.search(head)
            said = f"{method.decode()} {target.decode()} {asked[0].decode().strip() if asked else ''}\n"
            os.write(1, said.encode())
            time.sleep(FIRST_BYTE)
            self._answer(method, target.decode(), head)

    def _head(self) -> bytes:
        """Return the next request's head, or nothing when the caller has gone. A body is not expected."""
        while b"\r\n\r\n" not in self._received:
            more = self._caller.recv(_HEAD_LIMIT)
            if not more:
                return b""
            self._received += more
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    def _answer(self, method: bytes, target: str, head: bytes) -> None:
        stored = self._objects.get(target)
        condition = _IF_MATCH.search(head)
        if method not in (b"GET", b"HEAD"):
            self._refuse(405, "MethodNotAllowed")
        elif stored is None:
            self._refuse(404, "NoSuchKey")
        elif condition and condition[1].decode() != stored.etag:
            self._refuse(412, "PreconditionFailed")
        else:
            self._send(stored, _RANGE.search(head), with_body=method == b"GET")

    def _send(self, stored: Stored, asked: re.Match[bytes] | None, *, with_body: bool) -> None:
        size = len(stored.content)
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
        if first > last and size:
            self._refuse(416, "InvalidRange")
            return
        fields = [f"ETag: {stored.etag}", f"Last-Modified: {stored.modified}", "Accept-Ranges: bytes"]
        fields += ["Content-Type: binary/octet-stream", f"Content-Length: {last + 1 - first}"]
        if asked:
            fields.append(f"Content-Range: bytes {first}-{last}/{size}")
        self._caller.sendall(_head_bytes(206 if asked else 200, fields))
        if with_body:
            self._send_paced(memoryview(stored.content)[first : last + 1])

    def _send_paced(self, content: memoryview) -> None:
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            now = time.monotonic()
            if self._free > now:
                time.sleep(self._free - now)
            self._caller.sendall(piece)
            self._free = max(self._free, now) + len(piece) / RATE

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code></Error>".encode()
        fields = ["Content-Type: application/xml", f"Content-Length: {len(body)}"]
        self._caller.sendall(_head_bytes(status, fields) + body)


def _head_bytes(status: int, fields: list[str]) -> bytes:
    common = ["x-amz-request-id: BENCH", "Server: AmazonS3"]
    return "\r\n".join([f"HTTP/1.1 {status} {_REASONS[status]}", *common, *fields, "\r\n"]).encode()


def _serve(raw: socket.socket, context: ssl.SSLContext, objects: Objects) -> None:
    """Serve one connection. A client may leave at any point."""
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(raw, server_side=True) as caller:
            Connection(caller, objects).serve()
    except OSError:
        raw.close()


def main(certificate: str, key: str, folder: str) -> None:
    """Serve until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    objects = Objects(Path(folder))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        os.write(1, f"{server.getsockname()[1]}\n".encode())
        while True:
            raw, _ = server.accept()
            threading.Thread(target=_serve, args=(raw, context, objects), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
