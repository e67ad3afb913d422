"""The properties of the two clients: ours, which keep what is promised, and those of the deployment.

https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md has their names.
"""

from __future__ import annotations

from typing import Any

from kafka_settings import KafkaSettings

# Defaults, which the client's properties replace. Partitions move one by one between consumers. A new group begins with
# the oldest record. What waits in memory is bounded. One request after the other keeps the order of what is written.
_READING = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    "queued.max.messages.kbytes": "16384",
}
_WRITING = {"max.in.flight.requests.per.connection": "1", "linger.ms": "5", "message.timeout.ms": "30000"}


def reading_properties(settings: KafkaSettings) -> dict[str, Any]:
    """Return the properties of the client that reads."""
    properties = {**_READING, **settings.properties}
    if properties.get("group.protocol") == "consumer":  # the brokers assign then, and refuse a strategy
        properties.pop("partition.assignment.strategy")
    own = {"enable.auto.commit": "false", "enable.auto.offset.store": "false"}
    return {**properties, **own, "bootstrap.servers": settings.servers, "group.id": settings.group}


def writing_properties(settings: KafkaSettings) -> dict[str, Any]:
    """Return the properties of the client that writes."""
    properties = {**_WRITING, **settings.properties}
    return {**properties, "acks": "all", "bootstrap.servers": settings.servers}
