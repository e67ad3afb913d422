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

    status: answered so, with `headers`, and not carried out. lost: carried out, then the connection is reset.
    Of media only: truncated, reset: the body ends after `after` bytes. corrupt: its byte at `after` differs; without
    `hashes` the header that would tell is missing too. drip: a byte every `delay` seconds.
    """

    kind: Literal["status", "lost", "truncated", "reset", "corrupt", "drip"]
    on: tuple[Kind, ...] = ("media", "upload", "metadata")
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 0
    hashes: bool = True
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

    def take(self, kind: Kind) -> Fault | None:
        """The next fault for a request of this kind, which it is spent on."""
        with self._lock:
            found = next((fault for fault in self._coming if kind in fault.on), None)
            if found:
                self._coming.remove(found)
            return found

    def send_body(self, handler: BaseHTTPRequestHandler, content: bytes, fault: Fault) -> None:
        """Write a body as the fault wants it; headers have been sent, with the length of the whole."""
        after = fault.after
        match fault.kind:
            case "corrupt":
                handler.wfile.write(content[:after] + bytes([content[after] ^ 1]) + content[after + 1 :])
            case "drip":
                for index in range(len(content)):
                    if self.closing.wait(fault.delay):
                        return
                    handler.wfile.write(content[index : index + 1])
            case "truncated" | "reset":
                handler.wfile.write(content[:after])
                if fault.kind == "reset":
                    reset(handler)


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Close so that the client sees a reset and not an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(handler.connection.detach())
