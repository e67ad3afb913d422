"""The Google Cloud Function: requests in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path

from flask import current_app, has_app_context
from werkzeug.wrappers import Request, Response

import cloud_instance
import wsgi_http

_SERVICE, _LOADER, _prepare = cloud_instance.start(Path(__file__).parent, _STARTED, os.environ)
_APPLICATION = wsgi_http.application(_SERVICE, _LOADER, _prepare, os.environ)
if has_app_context():  # functions-framework imports this file so; every path is the service's, also /robots.txt
    from functions_framework.execution_id import WsgiMiddleware

    current_app.wsgi_app = WsgiMiddleware(_APPLICATION)  # type: ignore[method-assign, no-untyped-call]


def predict(request: Request) -> Response:
    """Answer an HTTP request, where another application of Flask has it."""
    return Response.from_app(_APPLICATION, request.environ)
