"""The Google Cloud Function: Flask requests in, replies out. Everything between is the core's."""

from __future__ import annotations

import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start

import os
from pathlib import Path

from flask import Request, Response

import cloud_logging
import flask_http
from gcs_store import GcsStore
from pilotlight.boot import Platform, boot

_SERVICE, _LOADER = boot(
    Platform(
        folder=Path(__file__).parent,
        stores={"gs": GcsStore},
        reporter=cloud_logging.reporter,
        deadline=30.0,  # half of what a function may take by default: whoever waits gets an answer
        started=_STARTED,
    ),
    os.environ,
)

# functions-framework imports this file in gunicorn's master and forks its workers from it.
os.register_at_fork(after_in_child=_LOADER.after_fork)


def predict(request: Request) -> Response:
    """Answer an HTTP request."""
    return flask_http.to_reply(_SERVICE.handle(flask_http.to_request(request)))
