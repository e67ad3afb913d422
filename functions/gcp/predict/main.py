"""The Google Cloud Function: Flask requests in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
import signal
from functools import partial
from pathlib import Path

from flask import Request, Response, current_app, has_app_context
from flask import request as current_request

import cloud_logging
import flask_http
import gunicorn_worker
from gcs_store import GcsStore
from pilotlight.boot import Platform, boot
from pilotlight.start.machine import here

# A container's first process ignores SIGTERM until it has a handler; gunicorn installs one after the start.
if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

_SERVICE, _LOADER = boot(
    Platform(
        folder=Path(__file__).parent,
        stores={"gs": GcsStore},
        reporter=cloud_logging.reporter,
        deadline=30.0,  # half of a function's default timeout: requests that wait for the start still get a response
        started=_STARTED,
        forks=True,
        machine=here(disk_is_memory="K_SERVICE" in os.environ),  # Cloud Run keeps files in memory
    ),
    os.environ,
)

gc.freeze()  # later collections skip these objects, and do not copy their pages into the workers
gc.enable()

# gunicorn forks its workers from this process. With --debug Flask answers here: its first request does as a fork does.
_prepare = gunicorn_worker.once(_LOADER.after_fork)
os.register_at_fork(after_in_child=gunicorn_worker.first_step(_prepare, refuse=partial(flask_http.refuse, _SERVICE)))

if has_app_context():  # for paths that functions-framework leaves to Flask: /robots.txt, and any with a line break
    current_app.register_error_handler(404, lambda _: predict(current_request))


def predict(request: Request) -> Response:
    """Answer an HTTP request."""
    _prepare()
    response = flask_http.handle(_SERVICE, request, os.environ)
    if _LOADER.state == "failed":  # after the start: this instance could never answer a prediction
        gunicorn_worker.end_when_answered()
    return flask_http.to_reply(response)
