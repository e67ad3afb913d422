"""Runs the Functions Framework on this machine as Cloud Functions do: gunicorn with one worker of several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log, free_port, listen

# https://cloud.google.com/run/docs/container-contract: the port has to be open within 4 minutes, and SIGKILL
# follows 10 s after SIGTERM.
_START_SECONDS = 240
_STOP_SECONDS = 10


class FunctionsRuntime:
    """One instance of the function. Its module is imported before the port opens."""

    def __init__(self, function: Function, target: str, port: int, timeout: float, signature: str = "http") -> None:
        self.log = Log()
        self._function = function
        self._target = target
        self._signature = signature
        self._port = port or free_port()
        self._timeout = timeout
        self._child = self._start()

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master; the function runs in a child of it."""
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
        """Stop the instance as Cloud Run does."""
        self._child.stop(_STOP_SECONDS)

    def _start(self) -> Child:
        listen(self._port).close()  # gunicorn would retry for five seconds before it reports that the port is taken
        environ = framework_environment(self._function, self._target, self._signature) | {"PORT": str(self._port)}
        child = Child(framework_command(), self._function.folder, environ, self.log)
        try:
            child.wait_for_port(self._port, self._timeout)
        except BaseException:  # including an interrupt, so that no process is left behind
            child.stop(_STOP_SECONDS)
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
        "PYTHONUNBUFFERED": "1",
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
    runtime = FunctionsRuntime(function, target, port, timeout, signature)
    try:
        yield runtime
    finally:
        runtime.stop()
