"""A real Redis on this machine, and a relay in front of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest

from pilotlight_cli.local.process import free_port
from waiting import wait_until

PROGRAM = shutil.which("redis-server")


class RedisServer:
    """A server without a disk. `start` after `stop` begins with nothing."""

    def __init__(self, *options: str) -> None:
        if PROGRAM is None:
            pytest.skip("redis-server is not on this machine (Debian's package redis-server): no feature was looked up")
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([str(PROGRAM), *where, *self._options], stdout=subprocess.DEVNULL)
        wait_until(self._answers, limit=60)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Answer nothing until `thaw`: for its clients it hangs."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def run(self, *commands: str) -> list[str]:
        """Run commands through redis-cli; return the lines of its answers."""
        text = "\n".join(commands)
        command = ["redis-cli", "-p", str(self.port)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.splitlines()

    def calls(self, command: str) -> int:
        """Return how often the server has run a command."""
        found = next((line for line in self.run("INFO commandstats") if f"cmdstat_{command}:" in line), "calls=0,")
        return int(found.partition("calls=")[2].partition(",")[0])

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


class Relay:
    """A relay that passes on no reply before the client has sent so many commands: a client that waits gets none."""

    def __init__(self, port: int, command: bytes, count: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        self._command = command
        self._count = count
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        with self._listener, client, socket.create_connection(("127.0.0.1", self._target)) as server:
            received = bytearray()
            while received.count(self._command) < self._count:
                received += client.recv(1 << 16)
            server.sendall(received)
            threading.Thread(target=_until_closed, args=(client, server), daemon=True).start()
            with suppress(OSError):
                while piece := server.recv(1 << 16):
                    client.sendall(piece)


def _until_closed(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        client.recv(1)
        server.shutdown(socket.SHUT_RDWR)


def hset(key: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return the command that stores a hash."""
    return " ".join([f'HSET "{key}"', *(f'"{name}" "{value}"' for name, value in columns)])
