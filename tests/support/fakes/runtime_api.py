"""Lambda's side of the runtime API, as far as a start under SnapStart goes, which the runtime's own emulator lacks.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; `restore/next` answers when a copy of the snapshot is
restored.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.wsgi import serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PREFIX = "/2018-06-01/runtime/"


class RuntimeApi:
    """The runtime API with one event. `calls` are the calls of the runtime, in order, and `answer` is its response."""

    def __init__(self, event: object) -> None:
        self.address = ""
        self.calls: list[str] = []
        self.answer: Any = None
        self.error_type = ""
        self.ended = threading.Event()  # the event is answered, or the start has failed
        self._events = [event]

    def reply(self, request: Request) -> Response:
        """Answer a call of the runtime."""
        call = request.path.removeprefix(_PREFIX)
        self.calls.append(call)
        if call == "restore/next":
            return Response("{}", 200)
        if call == "invocation/next" and self._events:
            headers = {"Lambda-Runtime-Aws-Request-Id": "first", "Lambda-Runtime-Deadline-Ms": "4102444800000"}
            return Response(json.dumps(self._events.pop()), 200, headers, content_type="application/json")
        if call == "invocation/next":
            self.ended.wait(60)  # there is no other; the test ends the runtime now
            return Response("{}", 500)
        if call == "invocation/first/response":
            self.answer = json.loads(request.get_data())
        else:
            self.error_type = request.headers.get("Lambda-Runtime-Function-Error-Type", "")
        self.ended.set()
        return Response("{}", 202)


@contextmanager
def runtime_api(event: object) -> Iterator[RuntimeApi]:
    """Serve the API for one runtime, which finds it at `address`."""
    api = RuntimeApi(event)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return api.reply(Request(environ))(environ, start_response)

    with serving_wsgi(application) as url:
        api.address = url.removeprefix("http://")
        yield api
