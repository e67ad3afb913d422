"""Runs the Functions Framework on this machine as Cloud Functions do: gunicorn with one worker of several threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log, free_port, listen

# https://cloud.google.com/run/docs/container-contract: the port has to be open within 4 minutes, and SIGKILL
# follows 10 s after SIGTERM.
_START_SECONDS = 240
_STOP_SECONDS = 10


class FunctionsRuntime:
    """One instance of the function, a program that listens on PORT once it has started."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        *,
        port: int,
        timeout: float,
        stop_seconds: float = _STOP_SECONDS,
    ) -> None:
        """`timeout` is for the port to open and `stop_seconds` from SIGTERM to SIGKILL."""
        self.log = Log()
        self._command = command
        self._folder = folder
        self._port = port or free_port()
        self._environ = {**environ, "PORT": str(self._port), "PYTHONUNBUFFERED": "1"}
        self._timeout = timeout
        self._stop_seconds = stop_seconds
        self._child = self._start()

    @property
    def pid(self) -> int:
        """The process id of the program; the function may run in children of it."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._child.exit_code

    @property
    def url(self) -> str:
        """The URL of the function."""
        return f"http://127.0.0.1:{self._port}"

    def restart(self) -> None:
        """Start a fresh instance on the same port."""
        self.stop()
        self._child = self._start()

    def stop(self) -> None:
        """Stop the instance as its platform does."""
        self._child.stop(self._stop_seconds)

    def _start(self) -> Child:
        listen(self._port).close()  # gunicorn would retry for five seconds before it reports that the port is taken
        child = Child(self._command, self._folder, self._environ, self.log)
        try:
            child.wait_for_port(self._port, self._timeout)
        except BaseException:  # including an interrupt, so that no process is left behind
            child.stop(self._stop_seconds)
            raise
        return child


def framework_command() -> list[str]:
    """Return the command that runs a function on this machine."""
    return [*isolated_python(), "-m", "functions_framework", "--host", "127.0.0.1"]


def framework_environment(function: Function, target: str = "predict", signature: str = "http") -> dict[str, str]:
    """Return the environment of the function and its framework, without PORT.

    gcloud sets LOG_EXECUTION_ID unless a deployment does.
    """
    return function.environment | {
        "FUNCTION_SIGNATURE_TYPE": signature,
        "FUNCTION_TARGET": target,
        "K_CONFIGURATION": "pilotlight",
        "K_REVISION": "pilotlight-00001-local",
        "K_SERVICE": "pilotlight",
        "LOG_EXECUTION_ID": function.environment.get("LOG_EXECUTION_ID", "true"),
    }


@contextmanager
def functions_runtime(
    function: Function,
    target: str = "predict",
    port: int = 0,
    timeout: float = _START_SECONDS,
    signature: str = "http",
) -> Iterator[FunctionsRuntime]:
    """Run an instance of a staged function; port 0 is any free one. `signature` is `http` or `cloudevent`.

    Raise PortTaken, or ServeError with the function's last lines if its import fails or takes longer than `timeout`
    seconds.
    """
    environ = framework_environment(function, target, signature)
    runtime = FunctionsRuntime(framework_command(), function.folder, environ, port=port, timeout=timeout)
    try:
        yield runtime
    finally:
        runtime.stop()
