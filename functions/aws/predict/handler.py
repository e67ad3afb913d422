"""The AWS Lambda function: events in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import Any

import emf
import execution_environment
import http_events
from pilotlight.boot import Platform, boot
from s3_store import S3Store

# Lambda's init phase ends after 10 s on demand; with provisioned concurrency or SnapStart it may take minutes.
_INITIALIZATION_TYPE = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
_FOLDER = Path(__file__).parent
_SERVICE, _LOADER = boot(
    Platform(
        folder=_FOLDER,
        stores={"s3": S3Store},
        reporter=emf.reporter,
        deadline=9.0 if _INITIALIZATION_TYPE == "on-demand" else 120.0,
        started=_STARTED,
        machine=execution_environment.machine(os.environ),
        primes=_INITIALIZATION_TYPE != "on-demand",
    ),
    os.environ,
)
execution_environment.finish_init(_LOADER, _INITIALIZATION_TYPE)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Answer an HTTP event of any front end, a plain document, or describe this version for a deployment.

    Raises ValueError for records of a queue or a stream, which are not for this function.
    """
    if event == {"pilotlight": "describe"}:
        from version_document import version_document  # noqa: PLC0415 - no request needs it

        return version_document(_FOLDER, os.environ)
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    invocation = http_events.Invocation(event, context.aws_request_id, deadline)
    if http_events.is_format_2(event):
        reply = http_events.answer(_SERVICE, invocation)
    else:
        import other_events  # noqa: PLC0415 - an HTTP API and a function URL do not need it

        reply = other_events.answer(_SERVICE, invocation, os.environ)
    if _LOADER.state == "failed":  # after the init phase: this environment could never answer a prediction
        raise SystemExit("the model cannot be served; Lambda starts again in a new execution environment")
    return reply
