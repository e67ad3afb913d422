"""Child processes of the command: their output is read as it comes, and they end with the command in any case."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pilotlight.errors import PilotlightError
from pilotlight_cli.hostenv import isolated_python

TETHER = Path(__file__).with_name("tether.py")

_PORTS = range(20_000, 32_000)
_MAX_LINES = 2000  # and as many parsed events
_TAIL_LINES = 25
_POLL_SECONDS = 0.02


class ServeError(PilotlightError):
    """A function does not start or respond; the message ends with its last log lines."""


class PortTaken(PilotlightError):
    """Another program listens on the requested port."""


class Log:
    """The last lines that a process wrote. Thread-safe."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._events: deque[dict[str, Any]] = deque(maxlen=_MAX_LINES)
        self._written = 0
        self._changed = threading.Condition()

    def add(self, line: str) -> None:
        """Append a line; a JSON object with the field "event" is an event too."""
        event = parse_event(line)
        with self._changed:
            self._lines.append(line)
            self._written += 1
            if event is not None:
                self._events.append(event)
            self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        """The raw lines."""
        with self._changed:
            return list(self._lines)

    def since(self, count: int) -> tuple[list[str], int]:
        """Return the lines after the first `count` that are still kept, and the number of all lines so far."""
        with self._changed:
            new = min(self._written - count, len(self._lines))
            return list(self._lines)[len(self._lines) - new :], self._written

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the function's structured lines with that event name, such as "cold_start"."""
        with self._changed:
            return [event for event in self._events if event["event"] == name]

    def wait_for(
        self, name: str, seconds: float, after: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> dict[str, Any] | None:
        """Wait until there are more than `after` events of that name; return the last one, None after `seconds`."""
        deadline = clock() + seconds
        with self._changed:
            while len(events := self.events(name)) <= after:
                if clock() >= deadline:
                    return None
                self._changed.wait(_POLL_SECONDS)
        return events[-1]

    def tail(self) -> str:
        """Return the last lines for a message, without those of the emulator's own steps."""
        lines = [line for line in self.lines if "[INFO] (rapid)" not in line]
        return "\n".join(lines[-_TAIL_LINES:]) or "(no output)"


def parse_event(line: str) -> dict[str, Any] | None:
    """Parse a structured line of the function: a JSON object with an event name; None for other lines."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


class Child:
    """A running program in a process group of its own.

    The thread that reads its output also starts it: Linux sends the parent-death signal when the starting thread ends,
    and this one lives as long as there is output to read.
    """

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str], log: Log) -> None:
        self._log = log
        self._started = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._start_error: OSError | None = None
        arguments = (tethered(command, os.getpid()), folder, dict(environ))
        self._reader = threading.Thread(target=self._run, args=arguments, name="log", daemon=True)
        self._reader.start()
        self._started.wait()

    def _run(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches the command alone, which stops its children in order
            )
        except OSError as error:
            self._start_error = error
        self._started.set()
        if self._process is not None and self._process.stdout is not None:
            with self._process.stdout as lines:
                for line in lines:
                    self._log.add(line.rstrip("\n"))

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServeError(f"{isolated_python()[0]} does not start: {self._start_error}")
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs, negative if a signal ended it."""
        return self._running.poll()

    def stop(self, seconds: float) -> None:
        """Stop it and its descendants: SIGTERM, then SIGKILL for what is left after `seconds`."""
        process = self._running
        try:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._reader.join(seconds)

    def wait_for_port(self, port: int, seconds: float) -> None:
        """Wait until the port accepts connections. Raise ServeError if the program ends before, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not _accepts_connections(port):
            code = self.exit_code
            if code is not None:
                self._reader.join(5)  # reading may go on if a descendant keeps the output open
                raise ServeError(f"the function's process ended with exit code {code}:\n{self._log.tail()}")
            if time.monotonic() > deadline:
                raise ServeError(f"no port was opened within {seconds:.0f} seconds:\n{self._log.tail()}")
            time.sleep(_POLL_SECONDS)


def tethered(command: Sequence[str], parent: int = 0) -> list[str]:
    """Return the command wrapped so that it ends with its parent; see tether.py."""
    return [*isolated_python(), "-I", str(TETHER), str(parent), *command]


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a listening socket; port 0 is any free one. Raise PortTaken."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise PortTaken(
            f"port {port} of {host} cannot be used: {os.strerror(error.errno or 0)}; stop what listens there, or "
            "choose another port with --port (0 for any free one)"
        ) from None


def free_port(other_than: int = 0, ports: Sequence[int] = ()) -> int:
    """Return a port on which nothing listens, for another program to bind later.

    It is below the ephemeral ports, which the system could assign to another program within the half minute that a
    failing start takes. It is one of `ports`, if given, and never `other_than`.
    """
    while True:
        port = secrets.choice(ports or _PORTS)
        if port == other_than:
            continue
        with suppress(PortTaken), listen(port):
            return port


def _accepts_connections(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
