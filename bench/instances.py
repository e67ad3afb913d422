"""A server's process: started at a known moment, watched, and ended however the bench ends."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

import psutil

import file_cache
from conditions import WARM, Condition
from http_wire import Reply, ask, post
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.functions_runtime import framework_environment
from pilotlight_cli.local.lambda_runtime import free_ports, runtime_command, runtime_environment
from pilotlight_cli.local.process import free_port, tethered
from quota import limited
from sample import EVENTS

Kind = Literal["lambda", "framework", "uvicorn", "server"]

_START_SECONDS = 60.0
_GLANCE = 0.001  # seconds between two tries to connect
_INVOKE = "/2015-03-31/functions/function/invocations"
_EVENT = json.loads((EVENTS / "http-api-v2-predict.json").read_bytes())

# Says that it is there, waits for its input's end, becomes the server: what it costs to start this is not the server's.
_WAIT = "import os, sys; os.write(1, b'\\n'); os.read(0, 1); os.execvp(sys.argv[1], sys.argv[1:])"


class StartError(Exception):
    """A server did not answer; the message ends with what it wrote."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started: a function on Lambda's runtime or the Functions Framework, an app on uvicorn, or ours.

    `entry` is the handler, the app, or the module of the server in a container, which has one process. `traced` is a
    folder with another copy of the entry's module, to be taken first.
    """

    kind: Kind
    python: str
    function: Function
    entry: str
    traced: Path | None = None

    def request(self, path: str, document: object) -> bytes:
        """Return the bytes that ask it over HTTP: on Lambda's runtime the event of an HTTP API."""
        if self.kind != "lambda":
            return post(path, document)
        event = _EVENT | {"rawPath": path, "body": json.dumps(document)}
        event["requestContext"] = _EVENT["requestContext"] | {"http": _EVENT["requestContext"]["http"] | {"path": path}}
        return post(_INVOKE, event)

    def reply(self, received: Reply) -> Reply:
        """Return what was answered, as a caller of the HTTP API sees it."""
        if self.kind != "lambda" or received.status != 200:
            return received
        result = json.loads(received.body)
        if "statusCode" not in result:
            return Reply(502, received.body)
        body = str(result.get("body", "")).encode()
        return Reply(result["statusCode"], base64.b64decode(body) if result.get("isBase64Encoded") else body)

    def command(self, ports: Sequence[int]) -> list[str]:
        """Return what runs it on the first of the ports."""
        python, port = isolated_python(self.python), ports[0]
        if self.kind == "lambda":
            return runtime_command(ports, [*python, "-m", "awslambdaric", self.entry])
        if self.kind == "uvicorn":
            return [*python, "-m", "uvicorn", self.entry, "--host", "127.0.0.1", "--port", str(port)]
        if self.kind == "server":
            return ["env", f"PORT={port}", *python, "-c", f"import {self.entry}; {self.entry}.main()"]
        return [*python, "-m", "functions_framework", "--host", "127.0.0.1", "--port", str(port)]

    def environ(self, condition: Condition) -> dict[str, str]:
        """Return what it sees of an environment."""
        if self.kind == "lambda":
            environ = runtime_environment(self.function, timeout=60, memory=condition.lambda_memory)
        elif self.kind == "framework":
            environ = framework_environment(self.function, self.entry)
        elif self.kind == "server":
            own = {"PILOTLIGHT_SERVER_HOST": "127.0.0.1", "PILOTLIGHT_SERVER_WORKERS": "1"}
            environ = self.function.environment | own
        else:
            environ = self.function.environment
        if self.traced is None:
            return environ
        source = {"FUNCTION_SOURCE": str(self.traced / "main.py")} if self.kind == "framework" else {}
        return environ | source | {"PYTHONPATH": f"{self.traced}{os.pathsep}{environ['PYTHONPATH']}"}


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """When a server was started, on `time.monotonic`'s clock, the seconds until its first 200, and what it answered."""

    began: float
    seconds: float
    reply: Reply


class Instance:
    """A server that waits for its start."""

    def __init__(
        self, launch: Launch, process: subprocess.Popen[bytes], go: IO[bytes], ports: Sequence[int], log: Path
    ) -> None:
        self.port = ports[0]
        self._ports = ports
        self._launch = launch
        self._process = process
        self._go = go
        self._log = log

    @property
    def pid(self) -> int:
        """The process id of the server, or of the first of its processes."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote until now."""
        return self._log.read_text(errors="replace")

    def first_answer(self, request: bytes) -> FirstAnswer:
        """Start it and ask until the first 200. Raises StartError.

        Lambda's runtime is started by the request itself, which is answered when it fails too.
        """
        began = time.monotonic()
        self._go.close()
        while True:
            received = ask(self.port, request, seconds=_START_SECONDS)
            took = time.monotonic() - began
            reply = None if received is None else self._launch.reply(received)
            if reply is not None and reply.status == 200:
                return FirstAnswer(began, took, reply)
            has_failed = reply is not None and self._launch.kind == "lambda"
            if has_failed or self._process.poll() is not None or took > _START_SECONDS:
                raise StartError(f"no answer ({reply or 'nothing'}) after {took:.1f} s:\n{self.log[-3000:]}")
            time.sleep(_GLANCE)

    def peak(self) -> int:
        """Return the most bytes that were resident at once in the largest of its processes, the function's own."""
        function = self._pids()[1:] if self._launch.kind == "lambda" else self._pids()
        return max(_kilobytes(Path(f"/proc/{pid}/status"), "VmHWM") for pid in function)

    def memory(self) -> int:
        """Return the peak memory in bytes: pages shared by its processes once, and those of each one above that."""
        found = [_memory(pid) for pid in self._pids()]
        return sum(each.own + each.above for each in found) + max(each.shared for each in found)

    def stop(self, limit: float) -> float:
        """Send SIGTERM and wait: the seconds until it had ended, or `limit` if it had not."""
        began = time.perf_counter()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit)
        return min(time.perf_counter() - began, limit)

    def wait_until_there(self) -> None:
        """Return once what waits for the start does, or has ended."""
        while not self._is_there() and self._process.poll() is None:
            time.sleep(0.005)

    def _pids(self) -> list[int]:
        return [self.pid, *(child.pid for child in _descendants(self.pid))]

    def _is_there(self) -> bool:
        if self._launch.kind != "lambda":
            return bool(self._log.stat().st_size)
        return all(_listens(port) for port in self._ports)


@contextmanager
def waiting(launch: Launch, condition: Condition = WARM) -> Iterator[Instance]:
    """Yield a server about to start, with an empty folder for temporary files; all of it is killed on the way out.

    A Lambda function waits in AWS's emulator, which starts it with the first request, any other in an interpreter that
    becomes the server. Both are under the condition's quota; the file cache is dropped last. Raises QuotaError.
    """
    ports = free_ports() if launch.kind == "lambda" else (free_port(),)
    with ExitStack() as stack:
        admit = stack.enter_context(limited(condition.quota))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pilotlight-bench-")))
        log, temporary = folder / "log", folder / "tmp"
        temporary.mkdir()
        stdin, go = (
            stack.enter_context(os.fdopen(end, mode)) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
        )
        first = [] if launch.kind == "lambda" else [*isolated_python(), "-c", _WAIT]
        process = subprocess.Popen(
            tethered([*first, *launch.command(ports)], os.getpid()),
            cwd=launch.traced or launch.function.folder,
            env={**launch.environ(condition), "TMPDIR": str(temporary)},
            stdin=stdin,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(_kill, process)
        admit(process.pid)
        instance = Instance(launch, process, go, ports, log)
        instance.wait_until_there()
        if condition.cold:
            file_cache.drop([*launch.function.packages, launch.function.folder, _library(launch.python)])
        yield instance


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _library(python: str) -> Path:
    """Return the folder of an interpreter's own modules."""
    program = Path(python).resolve()
    return program.parent.parent / "lib" / program.name


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started; the emulator gives the function a process group of its own."""
    started = _descendants(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in started:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    """Return the processes that a process started, and those that they started; none where it has ended itself."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


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
    """Return the bytes that a line of a process's file tells; a process that has ended meanwhile holds none."""
    try:
        text = file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
