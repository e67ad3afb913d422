"""A server's process: started at a known moment, watched, and ended however the bench ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from http_wire import Reply, ask
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.process import free_port, tethered

_START_SECONDS = 60.0
_GLANCE = 0.001  # seconds between two tries to connect

# Says that it is there, waits for its input's end, becomes the server: what it costs to start this is not the server's.
_WAIT = "import os, sys; os.write(1, b'\\n'); os.read(0, 1); os.execvp(sys.argv[1], sys.argv[1:])"


class StartError(Exception):
    """A server did not answer; the message ends with what it wrote."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started; `port_variable` tells it where to listen."""

    command: Sequence[str]
    folder: Path
    environ: Mapping[str, str]
    port_variable: str = "PORT"


class Instance:
    """A server that waits for its start."""

    def __init__(self, process: subprocess.Popen[bytes], go: IO[bytes], port: int, log: Path) -> None:
        self.port = port
        self._process = process
        self._go = go
        self._log = log

    @property
    def pid(self) -> int:
        """The process id of the server, or of the first of its processes."""
        return self._process.pid

    def first_answer(self, request: bytes) -> tuple[float, Reply]:
        """Start it and ask until the first 200: the seconds that this took, and the answer. Raises StartError."""
        began = time.perf_counter()
        self._go.close()
        while True:
            reply = ask(self.port, request, seconds=10)
            took = time.perf_counter() - began
            if reply is not None and reply.status == 200:
                return took, reply
            if self._process.poll() is not None or took > _START_SECONDS:
                raise StartError(
                    f"no answer ({reply or 'nothing'}) after {took:.1f} s:\n{self._log.read_text()[-3000:]}"
                )
            time.sleep(_GLANCE)

    def memory(self) -> int:
        """The most bytes that it took: pages of all its processes, shared ones once, and what each had above that."""
        found = [_memory(pid) for pid in (self.pid, *_descendants(self.pid))]
        return sum(each.own + each.above for each in found) + max(each.shared for each in found)

    def stop(self, limit: float) -> float:
        """Send SIGTERM and wait: the seconds until it had ended, or `limit` if it had not."""
        began = time.perf_counter()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit)
        return min(time.perf_counter() - began, limit)


@contextmanager
def waiting(launch: Launch) -> Iterator[Instance]:
    """A server about to start, with an empty folder for temporary files; all of it is killed on the way out."""
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pilotlight-bench-")))
        log, temporary = folder / "log", folder / "tmp"
        temporary.mkdir()
        stdin, go = (
            stack.enter_context(os.fdopen(end, mode)) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
        )
        process = subprocess.Popen(
            tethered([*isolated_python(), "-c", _WAIT, *launch.command], os.getpid()),
            cwd=launch.folder,
            env={**launch.environ, launch.port_variable: str(port), "TMPDIR": str(temporary)},
            stdin=stdin,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(_kill, process)
        while not log.stat().st_size and process.poll() is None:
            time.sleep(0.005)
        yield Instance(process, go, port, log)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _descendants(pid: int) -> list[int]:
    children = [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]
    return [found for child in children for found in (child, *_descendants(child))]


@dataclass(frozen=True, slots=True)
class _Memory:
    """A process's resident bytes: its own, those that others have too, and how much more it once had."""

    own: int
    shared: int
    above: int


def _memory(pid: int) -> _Memory:
    pages, status = Path(f"/proc/{pid}/smaps_rollup"), Path(f"/proc/{pid}/status")
    own = _kilobytes(pages, "Private_Clean") + _kilobytes(pages, "Private_Dirty")
    above = _kilobytes(status, "VmHWM") - _kilobytes(status, "VmRSS")
    return _Memory(own, _kilobytes(pages, "Rss") - own, above)


def _kilobytes(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
