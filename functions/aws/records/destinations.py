"""Where results go: an S3 prefix, or a queue, topic, event bus, stream or table by its ARN.

A result is a JSON document with the record's id, which a later delivery of the same record repeats: S3 and DynamoDB
then hold the same object or item again, FIFO queues and topics drop the repetition within five minutes, and readers of
the others find it by its id.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

from clients import CALLS, connect
from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass


class Result(NamedTuple):
    """A result to write: the record's id, its source, its time there in seconds since 1970, and the JSON document.

    In S3 the results of one `file` are lines of one object; without a file, a result is an object of its own.
    """

    id: str
    source: str
    time: float
    content: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a service's API, and how to read from its reply which entries it refused: their indices and reasons."""

    method: str
    arguments: Mapping[str, Any]
    refused: Callable[[Any], Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class _Service:
    """How to write to a service: its name in boto3, and the limits of one call in entries and in bytes.

    Without limits a call has the results of one file.
    """

    name: str
    entries: int
    size: int
    request: Callable[[str, str, Sequence[Result]], Request]


Failures: TypeAlias = dict[str, str]
"""The reason why a result was not written, by the record's id."""


class Destination:
    """Writes results. Its client is made with the first of them: a snapshot of the process has no credentials."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`place` is a value of PILOTLIGHT_RESULTS or PILOTLIGHT_FAILURES. Raises SettingsError for another cloud's."""
        if not place.startswith(("s3://", "arn:")):
            raise SettingsError(f"found the destination {place!r}; on AWS expected s3://bucket/prefix or an ARN")
        self._place = place
        self._service = _SERVICES["s3" if place.startswith("s3://") else place.split(":")[2]]
        self._calls = 1 if place.endswith(".fifo") else CALLS  # one after the other keeps their order
        self._clock = clock
        self._client: Any = None

    def write(self, results: Sequence[Result], deadline: float) -> Failures:
        """Write results by the deadline, and return those that the service did not acknowledge.

        A call that is still under way at the deadline may succeed: its records come again with the same ids.
        """
        if not results:
            return {}
        try:
            client = self._connect()
        except (BotoCoreError, ClientError) as error:
            return {result.id: str(error) for result in results}
        pool = ThreadPoolExecutor(self._calls)
        parts = list(_parts(results, self._service.entries, self._service.size))
        futures = {pool.submit(self._call, client, part): part for part in parts}
        done, late = wait(futures, max(deadline - self._clock(), 0))
        pool.shutdown(wait=False, cancel_futures=True)
        failures = {result.id: "the service did not answer in time" for future in late for result in futures[future]}
        for future in done:
            failures.update(future.result())
        return failures

    def _connect(self) -> Any:  # noqa: ANN401 - one of six clients
        if self._client is None:
            self._client = connect(
                self._service.name, None if self._service.name == "s3" else self._place.split(":")[3]
            )
        return self._client

    def _call(self, client: Any, part: Sequence[Result]) -> Failures:  # noqa: ANN401
        request = self._service.request(self._place, client.meta.endpoint_url, part)
        try:
            refused = request.refused(getattr(client, request.method)(**request.arguments))
        except (BotoCoreError, ClientError) as error:
            return {result.id: str(error) for result in part}
        return {part[index].id: reason for index, reason in refused.items()}


def _parts(results: Sequence[Result], entries: int, size: int) -> Iterator[list[Result]]:
    """Divide results into parts within the limits; a result that is too large by itself is a part, and is refused."""
    if not entries:
        for _, lines in groupby(results, lambda result: result.file or result.id):
            yield list(lines)
        return
    part: list[Result] = []
    room = size
    for result in results:
        needed = len(result.content.encode()) + len(result.id) + len(result.source) + 200  # for the entry's own fields
        if part and (len(part) == entries or needed > room):
            yield part
            part, room = [], size
        part.append(result)
        room -= needed
    yield part


def _s3(place: str, _: str, part: Sequence[Result]) -> Request:
    """Write an object of lines of JSON, in a partition by the day of the records."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    first = part[0]
    day = time.strftime("%Y-%m-%d", time.gmtime(first.time))
    parts = (*prefix.rstrip("/").split("/"), first.source, f"dt={day}", f"{_name(first)}.jsonl")
    arguments = {
        "Bucket": bucket,
        "Key": "/".join(filter(None, parts)),
        "Body": "".join(f"{result.content}\n" for result in part).encode(),
        "ContentType": "application/x-ndjson",
    }
    return Request("put_object", arguments, lambda _: {})


def _name(result: Result) -> str:
    """Return a file's name for a result. Another object's key may differ in a character that has to be replaced."""
    name = re.sub(r"[^\w.-]", "-", result.file or result.id, flags=re.ASCII)
    return f"{name[-200:]}-{hashlib.sha256(result.file.encode()).hexdigest()[:16]}" if result.file else name


def _sqs(arn: str, endpoint: str, part: Sequence[Result]) -> Request:
    account, queue = arn.split(":")[4:6]
    entries = [{"MessageBody": result.content} for result in part]
    arguments = {"QueueUrl": f"{endpoint}/{account}/{queue}", "Entries": _numbered(arn, part, entries)}
    return Request("send_message_batch", arguments, _failed)


def _sns(arn: str, _: str, part: Sequence[Result]) -> Request:
    entries = [{"Message": result.content} for result in part]
    arguments = {"TopicArn": arn, "PublishBatchRequestEntries": _numbered(arn, part, entries)}
    return Request("publish_batch", arguments, _failed)


def _numbered(arn: str, part: Sequence[Result], entries: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return a batch's entries with their index as id, and with what a FIFO queue or topic needs."""
    for index, (result, entry) in enumerate(zip(part, entries, strict=True)):
        entry["Id"] = str(index)
        if arn.endswith(".fifo"):
            entry["MessageGroupId"] = result.source
            entry["MessageDeduplicationId"] = hashlib.sha256(f"{result.source}/{result.id}".encode()).hexdigest()
    return entries


def _failed(reply: Mapping[str, Any]) -> dict[int, str]:
    return {int(entry["Id"]): f"{entry['Code']}: {entry.get('Message', '')}" for entry in reply.get("Failed", ())}


def _events(arn: str, _: str, part: Sequence[Result]) -> Request:
    entries = [
        {"Source": "pilotlight", "DetailType": "Result", "Detail": result.content, "EventBusName": arn}
        for result in part
    ]
    return Request("put_events", {"Entries": entries}, lambda reply: _by_place(reply["Entries"]))


def _kinesis(arn: str, _: str, part: Sequence[Result]) -> Request:
    entries = [{"Data": f"{result.content}\n".encode(), "PartitionKey": result.id[:256]} for result in part]
    arguments = {"StreamARN": arn, "Records": entries}
    return Request("put_records", arguments, lambda reply: _by_place(reply["Records"]))


def _by_place(entries: Sequence[Mapping[str, str]]) -> dict[int, str]:
    return {
        index: f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}"
        for index, entry in enumerate(entries)
        if entry.get("ErrorCode")
    }


def _dynamodb(arn: str, _: str, part: Sequence[Result]) -> Request:
    """Put an item under the key `id`; the table's partition key has to be a string of that name."""
    (result,) = part
    item = {"id": {"S": result.id}, "source": {"S": result.source}, "document": {"S": result.content}}
    return Request("put_item", {"TableName": arn, "Item": item}, lambda _: {})


_SERVICES = {
    "s3": _Service("s3", 0, 0, _s3),
    "sqs": _Service("sqs", 10, 262_144, _sqs),
    "sns": _Service("sns", 10, 262_144, _sns),
    "events": _Service("events", 10, 262_144, _events),
    "kinesis": _Service("kinesis", 500, 5 << 20, _kinesis),
    "dynamodb": _Service("dynamodb", 1, 400_000, _dynamodb),
}
