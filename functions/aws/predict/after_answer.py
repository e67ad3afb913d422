"""Time for work after the answer: an internal extension, which Lambda waits for before it freezes the environment.

A thread of this process registers at the Extensions API and asks for the next event only when a shadow, or the export
of spans, has done what the last request left to it. The caller has the answer by then.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

import emf
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotlight.boot import WaitUntil
    from pilotlight.service import Service

_PATH = "/2020-01-01/extension"
_NAME = "pilotlight-after-answer"

# Seconds: until a request of an event reaches the service, which some events never do; how much of an invocation's time
# is left unused; and how long one invocation's work may hold the environment.
_ARRIVAL = 0.2
_RESERVE = 0.5
_MOST = 5.0


def start(service: Service, works: Sequence[WaitUntil], environ: Mapping[str, str]) -> None:
    """Hold the environment after each answer until all works are done. To be called in the init phase.

    Without an Extensions API they go on while further requests run.
    """
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "lambda-managed-instances":  # which are never frozen
        return
    try:
        extension = _Extension(service, works, environ.get("AWS_LAMBDA_RUNTIME_API", ""))
    except (OSError, HTTPException) as error:
        emf.warn(f"no work has time after an answer: the Extensions API failed ({type(error).__name__}: {error})")
        return
    threading.Thread(target=extension.run, name=_NAME, daemon=True).start()


class _Extension:
    def __init__(self, service: Service, works: Sequence[WaitUntil], api: str) -> None:
        """Register. Raise OSError and HTTPException."""
        self._works = works
        self._handle = service.handle
        self._changed = threading.Condition()
        self._begun = self._ended = 0
        self._connection = HTTPConnection(api)
        headers = {"Lambda-Extension-Name": _NAME, "Content-Type": "application/json"}
        self._id, _ = self._call("POST", "/register", headers, json.dumps({"events": ["INVOKE"]}))
        service.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: Request) -> Response:
        """Answer as the service does, and note when that begins and ends."""
        with self._changed:
            self._begun += 1
            self._changed.notify_all()
        try:
            return self._handle(request)
        finally:
            with self._changed:
                self._ended += 1
                self._changed.notify_all()

    def run(self) -> None:
        """Ask for events until the environment ends."""
        try:
            while True:
                seen = self._ended
                _, event = self._call("GET", "/event/next", {"Lambda-Extension-Identifier": self._id})
                until = time.monotonic() + event["deadlineMs"] / 1000 - time.time() - _RESERVE
                with self._changed:
                    if self._changed.wait_for(lambda seen=seen: self._begun > seen, _ARRIVAL):  # type: ignore[misc]
                        left = max(until - time.monotonic(), 0)
                        self._changed.wait_for(lambda: self._ended == self._begun, left)
                until = min(until, time.monotonic() + _MOST)
                for work in self._works:
                    work(until)
        except (OSError, HTTPException, ValueError, KeyError) as error:
            emf.warn(f"no work has time after an answer any more ({type(error).__name__}: {error})")

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> tuple[str, dict[str, int]]:
        self._connection.request(method, _PATH + path, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise HTTPException(f"{path} answers {response.status}")
        return response.headers.get("Lambda-Extension-Identifier", ""), json.loads(content or "{}")
