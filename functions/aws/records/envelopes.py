"""What SNS, EventBridge and S3 put around a record.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, and ev-events.html for the
notifications that S3 sends through EventBridge
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from pilotlight.frozen import EMPTY, dataclass

# A text without any of these is no envelope, and need not be parsed.
_MARKS = re.compile('"(?:TopicArn|detail-type|aws:s3|s3:TestEvent)"')


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object that a notification names.

    `change` tells this change of the object from others. `time` is when it happened, in seconds since 1970. `size` is
    in bytes, None where the notification has none. An object that was removed is a tombstone.
    """

    bucket: str
    key: str
    version: str
    change: str
    time: float
    size: int | None
    is_removed: bool

    @property
    def url(self) -> str:
        """The object's URL."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def id(self) -> str:
        """The id of this change, which another delivery of the notification repeats."""
        return f"{self.key}@{self.change}"


@dataclass(frozen=True, slots=True)
class Content:
    """A record's payload and attributes; or, where `objects` is not None, the objects that have the records."""

    payload: str | dict[str, Any]
    attributes: Mapping[str, str] = EMPTY
    objects: tuple[S3Object, ...] | None = None


def has_envelope(body: str) -> bool:
    """Whether a message, or one of several joined, may be an envelope."""
    return _MARKS.search(body) is not None


def read_content(body: str, attributes: Mapping[str, str] = EMPTY) -> Content:
    """Return what a message contains, without the envelopes of SNS, EventBridge and S3.

    S3's own test of a new notification names no object. What lacks an envelope's fields is itself the payload.
    """
    if has_envelope(body):
        with suppress(ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return _without_envelope(json.loads(body), attributes) or Content(body, attributes)
    return Content(body, attributes)


def _without_envelope(envelope: Any, attributes: Mapping[str, str]) -> Content | None:  # noqa: ANN401 - JSON
    match envelope:
        case {"Type": "Notification", "TopicArn": str(), "Message": str(message)}:
            return read_content(message, texts(envelope.get("MessageAttributes") or {}, "Value"))
        case {"detail-type": str(), "source": str(), "detail": dict()}:
            return read_bridged(envelope, attributes)
        case {"Service": "Amazon S3", "Event": "s3:TestEvent"}:
            return Content("", objects=())
        case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
            return Content("", objects=tuple(map(notified, records)))
    return None


def read_bridged(event: Mapping[str, Any], attributes: Mapping[str, str] = EMPTY) -> Content:
    """Return what an event of EventBridge contains. Raises KeyError or TypeError if it lacks a field."""
    detail = event["detail"]
    if event["source"] != "aws.s3" or "object" not in detail:
        return Content(detail, attributes)
    found = detail["object"]
    return Content(
        "",
        objects=(
            S3Object(
                detail["bucket"]["name"],
                found["key"],
                found.get("version-id", ""),
                found.get("sequencer") or found["etag"],
                to_seconds(event["time"]),
                found.get("size"),
                is_removed="Deleted" in event["detail-type"],
            ),
        ),
    )


def notified(record: Mapping[str, Any]) -> S3Object:
    """Return the object of a record in a notification of S3. Raises KeyError or TypeError if it lacks a field."""
    found = record["s3"]["object"]
    return S3Object(
        record["s3"]["bucket"]["name"],
        unquote_plus(found["key"]),
        found.get("versionId", ""),
        found.get("sequencer") or found["eTag"],
        to_seconds(record["eventTime"]),
        found.get("size"),
        is_removed=record["eventName"].startswith(("ObjectRemoved:", "LifecycleExpiration:")),
    )


def texts(attributes: Mapping[str, Any], field: str) -> dict[str, str]:
    """Return the attributes that are text, by lower-case name."""
    return {name.lower(): value[field] for name, value in attributes.items() if isinstance(value.get(field), str)}


def to_seconds(time: str) -> float:
    """Return a time of ISO 8601 in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()
