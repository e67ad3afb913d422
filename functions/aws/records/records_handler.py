"""The AWS Lambda function for records: events of queues and streams in, results to a destination, failures out.

It starts as the predict function does, whose modules are in the same package.
"""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import Any

import execution_environment
from http_events import Invocation
from pilotlight.boot import boot

_FOLDER = Path(__file__).parent
_SERVICE, _LOADER = boot(execution_environment.platform(_FOLDER, _STARTED, os.environ, scores_records=True), os.environ)
from destinations import Destination  # imports boto3, which only the results need
from record_events import RecordEvents
from s3_objects import Objects

_RESULTS, _FAILURES = os.environ["PILOTLIGHT_RESULTS"], os.environ.get("PILOTLIGHT_FAILURES", "")
_EVENTS = RecordEvents(
    _SERVICE,
    Destination(_RESULTS),
    Destination(_FAILURES) if _FAILURES else None,
    Objects(_SERVICE.max_body_bytes, (_RESULTS, _FAILURES)),
    os.environ,
)
execution_environment.finish_init(_LOADER, os.environ)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Score an event's records, write their results, and return which records are to come again.

    Describes this version for a deployment, and answers warmers and tests. Raises ValueError for any other event.
    """
    if event == {"pilotlight": "describe"}:
        from version_document import version_document  # noqa: PLC0415 - no event of records needs it

        return version_document(_FOLDER, os.environ)
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    reply = _EVENTS.answer(Invocation(event, context.aws_request_id, deadline))
    if _LOADER.state == "failed":  # after the init phase: this environment could never score a record
        raise SystemExit("the model cannot be served; Lambda starts again in a new execution environment")
    return reply
