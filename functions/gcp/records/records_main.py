"""The Google Cloud Function for records: CloudEvents of Pub/Sub and Cloud Storage in, results to a destination.

It starts as the predict function does, whose modules are in the same package; there this module is main.py.
"""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Response, abort, request

import cloud_instance
import cloud_logging
import gunicorn_worker
from cloud_destinations import open_destination
from cloud_records import CloudRecords, Event, status
from google_api import storage
from pilotlight.codec.encode import to_json

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

_SERVICE, _LOADER, _prepare = cloud_instance.start(Path(__file__).parent, _STARTED, os.environ, scores_records=True)
_FAILURES = os.environ.get("PILOTLIGHT_FAILURES")
_RECORDS = CloudRecords(
    _SERVICE,
    storage(os.environ),
    open_destination(os.environ["PILOTLIGHT_RESULTS"], os.environ),
    open_destination(_FAILURES, os.environ) if _FAILURES else None,
    os.environ.get("K_REVISION", ""),
)


def score_records(event: CloudEvent) -> None:
    """Score an event's records and write their results. A status that is not 2xx lets the event come again."""
    _prepare()
    headers = {name.lower(): value for name, value in request.headers.items()}
    trace = cloud_logging.trace_fields(headers, os.environ)
    error = _RECORDS.answer(Event(event["id"], event["type"], event["source"], event.data, trace))
    if _LOADER.state == "failed":  # after the start: this instance could never score a record
        gunicorn_worker.end_when_answered()
    if error:
        document = {"error": error.message, "code": error.code, "path": error.path, "request_id": event["id"]}
        abort(Response(to_json(document), status(error), content_type="application/json"))
