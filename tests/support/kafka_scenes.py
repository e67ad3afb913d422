"""Topics, a group and consumers of their own for each test, on one broker."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from kafka_broker import MEMBER, Broker
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.kafka_runtime import KafkaRuntime, kafka_runtime
from waiting import wait_until

GOOD = json.dumps({"features": [1.0] * 30}).encode()


class Scene:
    """Topics and a group of their own on a broker, and the consumers of that group."""

    def __init__(self, kafka: Broker, stack: ExitStack, partitions: int) -> None:
        name = f"rows{secrets.token_hex(4)}"
        self.kafka = kafka
        self.rows, self.results, self.failures, self.group = (
            name,
            f"{name}.results",
            f"{name}.failures",
            f"{name}.group",
        )
        self._stack = stack
        self._partitions = partitions
        kafka.create(self.rows, partitions=partitions)
        kafka.create(self.results, self.failures, partitions=1)

    def settings(self, **more: str) -> dict[str, str]:
        given = {
            "SERVERS": self.kafka.servers,
            "TOPICS": self.rows,
            "GROUP": self.group,
            "RESULTS": self.results,
            "FAILURES": self.failures,
            **{f"CLIENT_{name.upper().replace('.', '_')}": value for name, value in MEMBER.items()},
            **more,
        }
        return {f"PILOTLIGHT_KAFKA_{name}": value for name, value in given.items()}

    def consumer(self, function: Function, **more: str) -> KafkaRuntime:
        """Start a consumer; it is stopped with the test."""
        own = replace(function, environ={**function.environ, **self.settings(**more)})
        return self._stack.enter_context(kafka_runtime(own))

    def ids(self) -> list[str]:
        """Return the ids in the topic of results."""
        return [each["id"] for each in self.kafka.results(self.results)]

    def committed(self) -> int:
        """Return how many records the group has committed."""
        found = self.kafka.committed(self.group, self.rows, range(self._partitions))
        return sum(max(0, offset) for offset in found.values())

    def wait_for_commits(self, count: int, *consumers: KafkaRuntime, limit: float = 120) -> None:
        """Wait until the group has committed so many records."""

        def has_come() -> bool:
            for consumer in consumers:
                assert consumer.exit_code is None, consumer.log.tail()
            return self.committed() >= count

        wait_until(has_come, limit)


def all_ids(scene: Scene) -> list[str]:
    """Return the ids of all records, in no order."""
    return [f"{each.topic()}-{each.partition()}-{each.offset()}" for each in scene.kafka.messages(scene.rows)]


def headers(message: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers()}
