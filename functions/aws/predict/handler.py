"""The AWS Lambda function: events in, replies out. Everything between is in the core."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import Any

import execution_environment
import http_events
from pilotlight.boot import boot

_FOLDER = Path(__file__).parent
_SERVICE, _LOADER = boot(execution_environment.platform(_FOLDER, _STARTED, os.environ), os.environ)
execution_environment.finish_init(_LOADER, os.environ)


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
