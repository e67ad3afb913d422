"""What a shadow's process and its parent say to each other: documents of Python's plain values."""

from __future__ import annotations

import marshal
import struct
import time
from collections.abc import Callable
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

_LENGTH = struct.Struct("<Q")


def send(channel: socket, document: Any) -> None:  # noqa: ANN401 - plain values
    """Send a document; buffers in it arrive as bytes. Raise OSError."""
    content = marshal.dumps(document)
    channel.sendall(_LENGTH.pack(len(content)) + content)


def receive(channel: socket) -> Any:  # noqa: ANN401 - plain values
    """Return the next document. Raise EOFError at the other side's end, and OSError."""
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    return marshal.loads(_exactly(channel, length))  # noqa: S302 - of a process of our own, with our own rights


def _exactly(channel: socket, length: int) -> bytes:
    content = bytearray(length)
    place, rest = 0, memoryview(content)
    while place < length:
        received = channel.recv_into(rest[place:])
        if not received:
            raise EOFError
        place += received
    return bytes(content)


def processor_clock(threads: int, *, alone: bool = False) -> Callable[[], float]:
    """Return the clock of a prediction: the processor time of its thread, as far as it runs in one thread alone.

    A model with several threads has the time of the clock on the wall. `alone`: the process does nothing else.
    """
    if threads > 1:
        return time.perf_counter
    return time.process_time if alone else time.thread_time
