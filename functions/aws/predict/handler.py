"""The AWS Lambda function: events in, replies out. Everything between is the core's."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # next to nothing of what a start makes is garbage, and looking for it again and again takes time

import os
from pathlib import Path
from typing import Any

import emf
import lambda_machine
import lambda_start
from event_body import read_body, to_reply
from event_families import to_head
from pilotlight.boot import Platform, boot
from pilotlight.errors import InvalidRequest
from pilotlight.frozen import replace
from s3_store import S3Store

# Lambda's init phase ends after 10 s on demand; with provisioned concurrency or SnapStart it may take minutes.
_START = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
_FOLDER = Path(__file__).parent
_SERVICE, _LOADER = boot(
    Platform(
        folder=_FOLDER,
        stores={"s3": S3Store},
        reporter=emf.reporter,
        deadline=9.0 if _START == "on-demand" else 120.0,
        started=_STARTED,
        machine=lambda_machine.machine(os.environ),
        primes=_START != "on-demand",
    ),
    os.environ,
)
lambda_start.settle(_LOADER, _START)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Answer an HTTP event of an HTTP API, a REST API or a function URL, or say what this version is to who deploys it.

    Raises ValueError for any other event.
    """
    if event == {"pilotlight": "describe"}:
        from version_document import version_document  # noqa: PLC0415 - no request needs it

        return version_document(_FOLDER, os.environ)
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    request = to_head(event, context.aws_request_id, deadline)
    try:
        response = _SERVICE.handle(replace(request, body=read_body(event, request.headers)))
    except InvalidRequest as error:
        response = _SERVICE.refuse(request, error)
    if _LOADER.state == "failed":  # after the init phase: this environment would refuse for its whole life
        raise SystemExit("the model cannot be served; Lambda begins again with a new environment")
    return to_reply(response)
