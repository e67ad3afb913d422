"""One address in front of an instance that is replaced while requests are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pilotlight_cli.developing.instance import Instance

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Switch:
    """A WSGI application: each request is answered by the instance that was in place when it arrived."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._changing = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request. The instance is done with it when this returns: the response is in memory."""
        with self._changing:
            instance = self.instance
            instance.under_way += 1
        try:
            return instance.application(environ, start_response)
        finally:
            with self._changing:
                instance.under_way -= 1

    def replace(self, instance: Instance) -> Instance:
        """Let another instance answer what arrives from now on. Return the one before."""
        with self._changing:
            before, self.instance = self.instance, instance
        return before
