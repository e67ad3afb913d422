"""Writes results and dead letters, and knows which of them the brokers acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kafka_records import Incoming, Outgoing

# Seconds for the brokers to take messages off a full queue.
_FULL = 0.1


class Writer:
    """Writes messages. All its methods are called by one thread."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._under_way = 0
        self.refused: list[tuple[Outgoing, KafkaError]] = []

    def begin(self, messages: Sequence[Outgoing], on_written: Callable[[Incoming], None]) -> None:
        """Begin to write messages; `wait` calls `on_written` for each that is acknowledged, and fills `refused`."""
        self.refused = []
        for message in messages:
            self._under_way += 1
            delivered = partial(self._delivered, message, on_written)
            try:
                self._produce(message, delivered)
            except KafkaException as error:  # a message that this client refuses itself
                delivered(error.args[0], None)

    def wait(self, seconds: float) -> bool:
        """Wait for acknowledgements, at most so long. Return whether none is missing."""
        if self._under_way:
            self._producer.poll(seconds)
        return not self._under_way

    def _produce(
        self, message: Outgoing, delivered: Callable[[KafkaError | None, Message[bytes, bytes] | None], None]
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers),
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(_FULL)
            else:
                return

    def _delivered(
        self,
        message: Outgoing,
        on_written: Callable[[Incoming], None],
        error: KafkaError | None,
        _: Message[bytes, bytes] | None,
    ) -> None:
        self._under_way -= 1
        if error is None:
            on_written(message.incoming)
        else:
            self.refused.append((message, error))
