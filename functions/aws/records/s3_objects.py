"""The objects that notifications name: their records, or why they cannot be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from clients import CALLS, connect
from envelopes import S3Object
from event_sources import Delivery
from pilotlight.errors import InvalidRequest, NotFound, RequestError
from pilotlight.records.objects import check_object, read_object

# Bytes that the objects of one event may have together, in multiples of one object's limit.
_OBJECTS = 4


class Objects:
    """Reads objects. Its client is made with the first of them: a snapshot of the process has no credentials."""

    def __init__(self, max_bytes: int, written: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """`max_bytes` bounds one object. `written` are the places of this function's own objects."""
        self._max_bytes = max_bytes
        self._written = tuple(f"{place.rstrip('/')}/" for place in written if place.startswith("s3://"))
        self._clock = clock
        self._client: Any = None
        self._connecting = Lock()

    def read(self, deliveries: Sequence[Delivery], deadline: float) -> tuple[list[Delivery], dict[str, RequestError]]:
        """Return the deliveries with their records, in their order, and the failures by the ids of deliveries.

        An object that was not read by the deadline has failed.
        """
        found = {delivery.object for delivery in deliveries if delivery.object is not None}
        if not found:
            return list(deliveries), {}
        errors: dict[str, RequestError] = {}
        contents = self._fetched(found, deadline)
        read: list[Delivery] = []
        for delivery in deliveries:
            if delivery.object is None:
                read.append(delivery)
                continue
            content = contents[delivery.object]
            try:
                if isinstance(content, RequestError):
                    raise content
                records = read_object(delivery.id, delivery.object.key, content, self._max_bytes)
            except RequestError as error:
                errors[delivery.id] = error
                read.append(delivery)
            else:
                read += [delivery._replace(id=record.id, record=record) for record in records]
        return read, errors

    def _fetched(self, found: set[S3Object], deadline: float) -> dict[S3Object, bytes | RequestError]:
        """Return the content of each object, or its failure."""
        pool = ThreadPoolExecutor(CALLS)
        room = self._max_bytes * _OBJECTS
        futures = {}
        contents: dict[S3Object, bytes | RequestError] = {}
        for one in sorted(found, key=lambda one: (one.time, one.id)):
            room -= min(one.size or 0, self._max_bytes)
            if room < 0:
                contents[one] = _later("no memory was left for this object")
            else:
                futures[pool.submit(self._get, one)] = one
        done, late = wait(futures, max(deadline - self._clock(), 0))
        pool.shutdown(wait=False, cancel_futures=True)
        contents |= {futures[future]: _later("the object was not read in time") for future in late}
        return contents | {futures[future]: future.result() for future in done}

    def _get(self, one: S3Object) -> bytes | RequestError:
        try:
            if one.url.startswith(self._written):
                raise InvalidRequest(
                    "the object is where this function writes; give results and failures prefixes of their own, and "
                    "leave them out of the notification"
                )
            check_object(one.key, one.size or 0, self._max_bytes)
            return self.fetch(one)
        except RequestError as error:
            return error
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion"):
                return NotFound(f"the object does not exist any more: {one.url}")
            return RequestError(f"the object could not be read: {error}", code="source")

    def fetch(self, one: S3Object) -> bytes:
        """Return the object's bytes. Raise TooLarge, or what boto3 raises."""
        with self._connecting:
            self._client = self._client or connect("s3")
        version = {"VersionId": one.version} if one.version else {}
        reply = self._client.get_object(Bucket=one.bucket, Key=one.key, **version)
        check_object(one.key, reply["ContentLength"], self._max_bytes)
        return bytes(reply["Body"].read())


def _later(reason: str) -> RequestError:
    return RequestError(f"{reason}; it has to come again", code="out_of_time")
