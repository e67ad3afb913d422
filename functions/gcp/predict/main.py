"""The Google Cloud Function: requests in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app, has_app_context
from werkzeug.wrappers import Request, Response

import cloud_instance
import gunicorn_worker
import wsgi_http

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from pilotlight.http import messages

_SERVICE, _LOADER, _prepare = cloud_instance.start(Path(__file__).parent, _STARTED, os.environ)


def _handle(wsgi: WSGIEnvironment) -> messages.Response:
    _prepare()
    response = wsgi_http.handle(_SERVICE, wsgi, os.environ)
    if _LOADER.state == "failed":  # after the start: this instance could never answer a prediction
        gunicorn_worker.end_when_answered()
    return response


_APPLICATION = wsgi_http.application(_handle)
if has_app_context():  # functions-framework imports this file so; every path is the service's, also /robots.txt
    from functions_framework.execution_id import WsgiMiddleware

    current_app.wsgi_app = WsgiMiddleware(_APPLICATION)  # type: ignore[method-assign, no-untyped-call]


def predict(request: Request) -> Response:
    """Answer an HTTP request, where another application of Flask has it."""
    return Response.from_app(_APPLICATION, request.environ)
