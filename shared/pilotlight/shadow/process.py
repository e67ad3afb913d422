"""A shadow's process, as its parent sees it: started, asked by a deadline, and ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from pilotlight.shadow.wire import receive, send


class Process:
    """The process of `pilotlight.shadow.child`. For one thread."""

    def __init__(self) -> None:
        """Start it. Raise OSError."""
        self._channel, theirs = socket.socketpair()
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-P", "-m", "pilotlight.shadow.child"]
        try:
            self.id = os.posix_spawn(sys.executable, command, environ, file_actions=actions)
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()

    def ask(self, document: object, seconds: float) -> Any:  # noqa: ANN401 - plain values
        """Return its answer. Raise TimeoutError, EOFError if it has ended, and OSError."""
        self._channel.settimeout(seconds)
        send(self._channel, document)
        return receive(self._channel)

    def end(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            os.kill(self.id, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.id, 0)
        self._channel.close()
