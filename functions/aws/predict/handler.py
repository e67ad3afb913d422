"""The AWS Lambda function: events in, replies out. Everything between is the core's."""

from __future__ import annotations

import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start

import os
from pathlib import Path
from typing import Any

import emf
import event_http_v2
import event_rest_v1
from pilotlight.boot import Platform, boot
from s3_store import S3Store

# Lambda's init phase ends after 10 s on demand; with provisioned concurrency or SnapStart it may take minutes.
_ON_DEMAND = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") == "on-demand"

_SERVICE, _ = boot(
    Platform(
        folder=Path(__file__).parent,
        stores={"s3": S3Store},
        reporter=emf.reporter,
        deadline=9.0 if _ON_DEMAND else 120.0,
        started=_STARTED,
    ),
    os.environ,
)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Answer an HTTP event: payload format 2.0 names its version, 1.0 may not."""
    translate = event_http_v2 if event.get("version") == "2.0" else event_rest_v1
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    response = _SERVICE.handle(translate.to_request(event, context.aws_request_id, deadline))
    return {
        "statusCode": response.status,
        "headers": dict(response.headers),
        "body": response.body.decode(),
        "isBase64Encoded": False,
    }
