"""The Google Cloud Function: Flask requests in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path

from flask import Request, Response, current_app, has_app_context
from flask import request as current_request

import cloud_instance
import flask_http
import gunicorn_worker

_SERVICE, _LOADER, _prepare = cloud_instance.start(Path(__file__).parent, _STARTED, os.environ)

if has_app_context():  # for paths that functions-framework leaves to Flask: /robots.txt, and any with a line break
    current_app.register_error_handler(404, lambda _: predict(current_request))


def predict(request: Request) -> Response:
    """Answer an HTTP request."""
    _prepare()
    response = flask_http.handle(_SERVICE, request, os.environ)
    if _LOADER.state == "failed":  # after the start: this instance could never answer a prediction
        gunicorn_worker.end_when_answered()
    return flask_http.to_reply(response)
