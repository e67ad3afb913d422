"""What each event source has to hear about records that failed, and what it delivers again then.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html, and the same for DynamoDB
https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html

The event source mapping has to ask for such replies (`ReportBatchItemFailures`): else any reply is a success.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

Identifier: TypeAlias = "str | tuple[str, int]"
"""What the source calls a record: a message's id, a sequence number, or Kafka's `topic-partition` and offset."""

Rule: TypeAlias = Literal["each", "group", "stream", "all"]
"""`each` record may fail alone, or a failure takes with it the later ones of its `group` or of the whole `stream`.

Of an asynchronous invocation `all` comes again if the function raises an error, whatever it would reply.
"""


class RecordsFailed(Exception):
    """Records of an asynchronous invocation have failed; Lambda tries twice more, then uses its on-failure destination.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """


class Position(NamedTuple):
    """Where a record stands in its source: its identifier, its group where the rule has groups, its number in a stream.

    A stream's sequence numbers are whole numbers; the lowest is the oldest, whatever the order of an event.
    """

    identifier: Identifier
    group: str = ""
    sequence: int = 0


def redelivered(rule: Rule, positions: Sequence[Position], failed: Collection[Identifier]) -> list[Position]:
    """Return the records that the source delivers again if `failed` have failed, in the order of the event.

    A record that comes more than once has failed if one of them has. Identifiers that are not in the event count for
    nothing.
    """
    if rule == "each":
        return [position for position in positions if position.identifier in failed]
    if rule == "all":
        return list(positions) if any(position.identifier in failed for position in positions) else []
    if rule == "stream":
        lowest = min((position.sequence for position in positions if position.identifier in failed), default=None)
        return [position for position in positions if lowest is not None and position.sequence >= lowest]
    stopped: set[str] = set()
    again: set[Identifier] = set()
    for position in positions:
        if position.identifier in failed or position.group in stopped:
            stopped.add(position.group)
            again.add(position.identifier)
    return [position for position in positions if position.identifier in again]


def reply(rule: Rule, again: Sequence[Position]) -> dict[str, Any]:
    """Return the function's reply, given the records that are to come again, which `redelivered` returned."""
    if rule == "stream":
        again = sorted(again, key=lambda position: position.sequence)[:1]
    identifiers = dict.fromkeys(position.identifier for position in again)
    return {"batchItemFailures": [{"itemIdentifier": _to_document(identifier)} for identifier in identifiers]}


def _to_document(identifier: Identifier) -> object:
    if isinstance(identifier, str):
        return identifier
    partition, offset = identifier
    return {"partition": partition, "offset": offset}
