"""A proxy that can be shut: it then resets connections at once."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Gate:
    """Forwards every connection to `target`, a URL, while it is open."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_open = True
        self._joined: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for joined in self._joined:
            joined.join(10)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_open:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                caller.close()
                continue
            both = (caller, socket.create_connection(self._target))
            joined = threading.Thread(target=_join, args=both, daemon=True)
            joined.start()
            self._joined.append(joined)


def _join(caller: socket.socket, server: socket.socket) -> None:
    """Forward both ways until both are at their end."""
    with caller, server:
        back = threading.Thread(target=_forward, args=(server, caller), daemon=True)
        back.start()
        _forward(caller, server)
        back.join()


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
