"""Runs AWS Lambda's own Python runtime on this machine: awslambdaric under the runtime interface emulator.

Where the emulator does not run, plain_lambda.py calls the function instead.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pilotlight.errors import PilotlightError
from pilotlight_cli.hostenv import CACHE, PINNED, group_packages, host_packages, isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log, ServeError, free_port, tethered

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a synchronous request. The emulator
# truncates larger events.
MAX_EVENT_BYTES = 6_291_456

_TIMEOUT = 30  # seconds; an HTTP API waits no longer
_PLAIN = Path(__file__).with_name("plain_lambda.py")
_MEMORY = 1769  # MB; one whole CPU
_ARCHITECTURES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class FunctionFailed(PilotlightError):
    """An invocation that Lambda counts as an error. `type` is its error type: `ValueError`, `Runtime.ExitError`."""

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(f"{type_}: {message}")
        self.type = type_


class EventTooLarge(PilotlightError):
    """The event exceeds Lambda's limit, so that the function never gets it."""


class LambdaRuntime:
    """One execution environment. The first event starts the function, also after a crash."""

    def __init__(self, function: Function, handler: str, timeout: int, version: str) -> None:
        self.log = Log()
        self._function = function
        self._handler = handler
        self._timeout = timeout
        self._version = version
        self._invocation = threading.Lock()  # two events at once end the emulator, which has one environment
        self._lifecycle = threading.Lock()  # an event that waited must not restart what was stopped meanwhile
        self._stopped = False
        self._child, self._port = self._start()

    @property
    def pid(self) -> int:
        """The emulator's process id; the function runs in a child of it."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._child.exit_code

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - what the handler returned
        """Send an event; return the handler's result, as decoded from JSON. Events go one after the other.

        Raise FunctionFailed (an exception, a crash, a timeout), EventTooLarge, or ServeError if no response comes.
        """
        payload = json.dumps(event).encode()
        if len(payload) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"the event has {len(payload)} bytes, over Lambda's limit of {MAX_EVENT_BYTES}")
        with self._invocation:
            self._ensure_running()
            status, body = self._post(payload)
        return _result(status, body)

    def restart(self) -> None:
        """Start a fresh environment; the function starts with the next event."""
        with self._invocation:
            self._child.stop(seconds=5)
            self._ensure_running()

    def stop(self) -> None:
        """Stop the emulator and the function with it. An invocation in progress raises ServeError."""
        with self._lifecycle:
            self._stopped = True
            self._child.stop(seconds=5)

    def _ensure_running(self) -> None:
        """Start the emulator if it has ended."""
        with self._lifecycle:
            if self._stopped:
                raise ServeError("the Lambda runtime was stopped")
            if self._child.exit_code is not None:
                self._child, self._port = self._start()

    def _start(self, attempts: int = 3) -> tuple[Child, int]:
        ports: tuple[int, ...] = free_ports() if has_emulator() else (free_port(),)
        if has_emulator():
            command = runtime_command(ports, tethered([*isolated_python(), "-m", "awslambdaric", self._handler]))
        else:
            command = [*isolated_python(), "-P", "-u", str(_PLAIN), str(ports[0]), self._handler]
        environ = runtime_environment(self._function, self._timeout, self._version)
        child = Child(command, self._function.folder, environ, self.log)
        try:
            for port in ports:
                child.wait_for_port(port, seconds=60)
        except BaseException as error:  # including an interrupt, so that no process is left behind
            child.stop(seconds=1)
            if isinstance(error, ServeError) and attempts > 1 and "address already in use" in str(error):
                return self._start(attempts - 1)  # another program took a free port first
            raise
        return child, ports[0]

    def _post(self, payload: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout + 60)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", payload)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServeError(f"no response from the Lambda runtime ({error}):\n{self.log.tail()}") from error
        finally:
            connection.close()


def free_ports() -> tuple[int, int]:
    """Return ports for the emulator's events and for the runtime.

    The emulator may open the second later than the first: an event before that ends the runtime.
    """
    port = free_port()
    return port, free_port(other_than=port)


def runtime_command(ports: Sequence[int], runtime: Sequence[str]) -> list[str]:
    """Return the command of the emulator on `free_ports` of this machine; its first event starts `runtime`."""
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{ports[1]}"]
    return [str(emulator()), "--log-level", "info", *addresses, *runtime]


def runtime_environment(
    function: Function, timeout: int = _TIMEOUT, version: str = "$LATEST", memory: int = _MEMORY
) -> dict[str, str]:
    """Return the environment of a function and its runtime. `timeout` is in seconds, `memory` in MB."""
    return function.environment | {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_FUNCTION_NAME": "pilotlight",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(function.folder),
        "TZ": ":UTC",
    }


@contextmanager
def lambda_runtime(
    function: Function, handler: str = "handler.lambda_handler", timeout: int = _TIMEOUT, version: str = "$LATEST"
) -> Iterator[LambdaRuntime]:
    """Run a Lambda environment for a staged function. `timeout` is the function's, in seconds."""
    runtime = LambdaRuntime(function, handler, timeout, version)
    try:
        yield runtime
    finally:
        runtime.stop()


def has_emulator() -> bool:
    """Return whether AWS's emulator and runtime, programs for Linux on x86_64 or arm64, run on this machine."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES


def runtime_packages() -> Path:
    """Return a folder with the packages of Lambda's runtime; its own program is left out where it does not run."""
    if has_emulator():
        return group_packages("lambda-runtime")
    entries = re.split(r"^(?=\w)", (PINNED / "lambda-runtime.txt").read_text(), flags=re.MULTILINE)
    return host_packages("".join(entry for entry in entries if not entry.startswith("awslambdaric==")))


def emulator() -> Path:
    """Return the runtime interface emulator that comes with SAM CLI, as an executable. May install SAM CLI."""
    architecture = _ARCHITECTURES[platform.machine()]
    spec = find_spec("samcli")
    locations = spec.submodule_search_locations if spec else None
    samcli = Path(locations[0]) if locations else group_packages("sam-cli") / "samcli"
    return executable(samcli / "local" / "rapid" / f"aws-lambda-rie-{architecture}", CACHE)


def executable(program: Path, folder: Path) -> Path:
    """Return the program, or a copy in `folder` if an installer left it without the permission to execute."""
    if os.access(program, os.X_OK):
        return program
    copy = folder / program.name
    if not os.access(copy, os.X_OK):
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{program.name}.{os.getpid()}"
        shutil.copyfile(program, partial)
        partial.chmod(0o755)
        partial.replace(copy)
    return copy


def _result(status: int, body: bytes) -> Any:  # noqa: ANN401 - what the handler returned
    """Return the result in the emulator's response: 200 even for a handler's exception, plain text after a timeout."""
    try:
        result = json.loads(body)
    except ValueError:
        text = body.decode(errors="replace")
        type_ = "Sandbox.Timedout" if "timed out" in text else "Runtime.ExitError"
        raise FunctionFailed(type_, text or "the runtime ended before it accepted an event") from None
    if status != 200 or _is_error(result):
        raise FunctionFailed(str(result.get("errorType", "Unknown")), str(result.get("errorMessage", "")))
    return result


def _is_error(result: object) -> bool:
    return isinstance(result, Mapping) and {"errorType", "errorMessage", "requestId"} <= result.keys()
