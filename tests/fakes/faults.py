"""Faults that a fake server commits on demand."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

Kind = Literal["media", "upload", "metadata"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request, if it is one of those in `on` (`media` is the GET of an object's bytes).

    status: answered so, with `headers`, and not carried out. lost: carried out, then the connection is reset. silent:
    never answered. nonsense: answered with what is not HTTP. endless: answered with headers that never end.
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


class Faults:
    """The faults to come. `closing` ends the slow ones."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._coming: list[Fault] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault, times: int) -> None:
        with self._lock:
            self._coming += [fault] * times

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._coming.clear()

    def take(self, kind: Kind) -> Fault | None:
        """The next fault for a request of this kind, which it is spent on."""
        with self._lock:
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
                    self.closing.wait(0.05)  # a reset may overtake what was sent before it
                    reset(handler)
                if fault.kind == "stall":
                    self.closing.wait()


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Close so that the client sees a reset and not an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(handler.connection.detach())
