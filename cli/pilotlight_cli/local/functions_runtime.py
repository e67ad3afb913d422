"""The Functions Framework on this machine, as Cloud Functions run it: gunicorn with one worker of several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log, free_port, listen

# https://cloud.google.com/run/docs/container-contract: the port has to be open after 4 minutes at most, and SIGKILL
# follows 10 s after SIGTERM.
_START_SECONDS = 240
_STOP_SECONDS = 10


class FunctionsRuntime:
    """One instance of the function. Its module was imported when the port opens."""

    def __init__(self, function: Function, target: str, port: int, patience: float) -> None:
        self.log = Log()
        self._function = function
        self._target = target
        self._port = port or free_port()
        self._patience = patience
        self._child = self._start()

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master; the function runs in a child of it."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.exit_code

    @property
    def url(self) -> str:
        """Where the function answers."""
        return f"http://127.0.0.1:{self._port}"

    def restart(self) -> None:
        """A fresh instance on the same port."""
        self.stop()
        self._child = self._start()

    def stop(self) -> None:
        """End the instance as Cloud Run does."""
        self._child.stop(_STOP_SECONDS)

    def _start(self) -> Child:
        listen(self._port).close()  # gunicorn would try for five seconds before it says that the port is taken
        environ = framework_environment(self._function, self._target) | {"PORT": str(self._port)}
        child = Child(framework_command(), self._function.folder, environ, self.log)
        try:
            child.wait_for_port(self._port, self._patience)
        except BaseException:  # an interrupt too must not leave it behind
            child.stop(_STOP_SECONDS)
            raise
        return child


def framework_command() -> list[str]:
    """What runs a function on this machine."""
    return [*isolated_python(), "-m", "functions_framework", "--host", "127.0.0.1"]


def framework_environment(function: Function, target: str = "predict") -> dict[str, str]:
    """What the function and its framework see of an environment, but for PORT, which says where it listens."""
    return function.environment | {
        "FUNCTION_SIGNATURE_TYPE": "http",
        "FUNCTION_TARGET": target,
        "K_CONFIGURATION": "pilotlight",
        "K_REVISION": "pilotlight-00001-local",
        "K_SERVICE": "pilotlight",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def functions_runtime(
    function: Function, target: str = "predict", port: int = 0, patience: float = _START_SECONDS
) -> Iterator[FunctionsRuntime]:
    """A running instance of a staged function, ended on the way out; port 0 takes any free one.

    Raises PortTaken, or ServeError with the function's last lines when its import fails or takes longer than `patience`
    seconds.
    """
    runtime = FunctionsRuntime(function, target, port, patience)
    try:
        yield runtime
    finally:
        runtime.stop()
