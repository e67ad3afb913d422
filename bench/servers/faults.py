"""Faults that a fake server commits on demand."""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Kind = Literal["media", "upload", "metadata"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request, if it is one of those in `on` (`media` is the GET of an object's bytes).

    status: answered so, with `headers` and not carried out; S3's answers have a `code`, and `more`, in their XML. lost:
    carried out, then the connection is reset. silent: never answered. nonsense: answered with what is not HTTP.
    endless: answered with headers that never end.
    Of media only: truncated, reset, stall: the body ends after `after` bytes, in the last case without an end. corrupt:
    its byte at `after` differs. drip: a byte every `delay` seconds, after the first `after`. odd: no range is heeded,
    and there may be other `headers`, which come on top of the usual ones; those in `without` are missing.
    """

    kind: Literal[
        "status", "lost", "silent", "nonsense", "endless", "truncated", "reset", "stall", "corrupt", "drip", "odd"
    ]
    on: tuple[Kind, ...] = ("media", "upload", "metadata")
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 0
    without: tuple[str, ...] = ()
    delay: float = 0.05
    code: str = "Injected"
    more: str = ""


class Faults:
    """The faults to come. `closing` ends the slow ones.

    `meanwhile` is called before each request for an object's bytes, which it is told the number of, from 1: what it
    does happens between two of them.
    """

    def __init__(self) -> None:
        self.meanwhile: Callable[[int], object] = lambda _: None
        self._media = 0
        self.closing = threading.Event()
        self._coming: list[Fault] = []
        self._lock = threading.RLock()

    def inject(self, fault: Fault, times: int) -> None:
        """Commit a fault with so many of the next requests that it can befall."""
        with self._lock:
            self._coming += [fault] * times

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._coming.clear()

    def take(self, kind: Kind) -> Fault | None:
        """Return the next fault for a request of this kind, which it is spent on."""
        with self._lock:
            if kind == "media":
                self._media += 1
                self.meanwhile(self._media)
            found = next((fault for fault in self._coming if kind in fault.on), None)
            if found:
                self._coming.remove(found)
            return found

    def send_no_answer(self, handler: BaseHTTPRequestHandler, fault: Fault) -> bool:
        """Whether the fault is one in place of an answer, which is then done."""
        match fault.kind:
            case "silent":
                self.closing.wait()
            case "nonsense":
                handler.wfile.write(b"\x15\x03\x01\x00\x02\x02\x50")
            case "endless":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
                while not self.closing.wait(fault.delay):
                    handler.wfile.write(b"x")
            case _:
                return False
        handler.close_connection = True
        return True

    def send_body(self, handler: BaseHTTPRequestHandler, content: bytes, fault: Fault) -> None:
        """Write a body as the fault wants it; headers have been sent, with the length of the whole."""
        after = fault.after
        handler.close_connection = True
        match fault.kind:
            case "corrupt":
                handler.wfile.write(content[:after] + bytes([content[after] ^ 1]) + content[after + 1 :])
            case "odd":
                handler.wfile.write(content)
            case "drip":
                handler.wfile.write(content[:after])
                for index in range(after, len(content)):
                    if self.closing.wait(fault.delay):
                        return
                    handler.wfile.write(content[index : index + 1])
            case "truncated" | "reset" | "stall":
                handler.wfile.write(content[:after])
                if fault.kind == "reset":
                    self._wait_until_arrived(handler.connection)  # a reset overtakes what is still to be sent
                    reset(handler)
                if fault.kind == "stall":
                    self.closing.wait()

    def _wait_until_arrived(self, connection: socket.socket) -> None:
        """Return once the other side's system has all that was sent: what it has can be read after a reset too."""
        while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
            if self.closing.wait(0.005):
                return


class Server(ThreadingHTTPServer):
    """A server on a free port of this machine, with a thread for each connection, in TLS where there is a context.

    Closing ends the connections, and waits for their threads.
    """

    daemon_threads = False
    request_queue_size = 64

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        tls: ssl.SSLContext | None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        if tls:  # the handshake is left to the request's own thread
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End the connections that are left, one that a client keeps open among them."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which a thread may be in
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print a traceback, unless it is that of a client that went away."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Close so that the client sees a reset and not an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(handler.connection.detach())
