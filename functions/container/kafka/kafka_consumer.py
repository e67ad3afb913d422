"""The loop: read a batch, score it, write what comes of it, commit its offsets.

Offsets are committed when the brokers have acknowledged everything that was written for them: nothing is lost, and what
comes again has the same ids. A batch that takes long keeps its partitions: they are paused, and the loop goes on asking
for messages, which tells the group that this consumer is alive, while a thread runs the model:
https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md#max-poll-interval
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafka_batch import Batch
from kafka_health import Health
from kafka_records import Incoming, Outgoing, Partition, dead_letter, read_message, result_message, to_kafka
from kafka_scoring import is_passing, score_all
from kafka_settings import KafkaSettings
from kafka_waiting import Patience, has_come, is_done
from kafka_writer import Writer
from pilotlight.errors import PilotlightError, RequestError
from pilotlight.records.results import scored
from pilotlight.records.score import Outcome, Scorer, Scoring
from pilotlight.service import Service
from pilotlight.start.loading import Loader

# Seconds: how long the loop waits for a first record, how long for a batch before it pauses partitions, between two
# polls then, and before what was not written is written again.
_IDLE, _PATIENCE, _POLL, _AGAIN = 1.0, 1.0, 0.1, 1.0

# Records that are read at once: a batch may have so many more than its bytes allow.
_CHUNK = 100

_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD)
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)

OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


class Stopped(PilotlightError):
    """The consumer cannot go on; what it has written is committed."""


class KafkaConsumer:
    """Scores topics with a service's model. All its methods are called by one thread."""

    def __init__(
        self,
        writer: Writer,
        settings: KafkaSettings,
        *,
        open_consumer: Callable[[OnCommit], Consumer],
        service: Service,
        loader: Loader,
        health: Health,
        warn: Callable[[str], None],
    ) -> None:
        """`open_consumer` opens the client that reads, given what it calls after a commit. `warn` writes to the log."""
        self._consumer = open_consumer(self.committed)
        self._writer = writer
        self._service = service
        self._loader = loader
        self._scorer = Scorer(service.plane, max_bytes=service.max_body_bytes, clock=time.monotonic)
        self._settings = settings
        self._health = health
        self._warn = warn
        self._pool = ThreadPoolExecutor(1)
        self._batch = Batch(())
        self._early: list[Incoming] = []  # read while a batch was under way
        self._paused: set[Partition] = set()
        self._offsets: dict[Partition, int] = {}  # to commit
        self._blocked: Stopped | None = None

    def run(self, stopping: Event) -> None:
        """Score until `stopping` is set; then finish the batch under way, and leave the group. Raise Stopped."""
        self._consumer.subscribe(list(self._settings.topics), on_revoke=self._revoke, on_lost=self._lose)
        try:
            while not stopping.is_set():
                self._health.beat()
                self._batch = Batch(self._read())
                if self._batch.incoming and not stopping.is_set():
                    self._finish(stopping)
        finally:
            self._pool.shutdown(wait=False)
            self._consumer.close()  # calls `_revoke`, which commits

    def _read(self) -> list[Incoming]:
        """Return the next batch: so many records as there are within the wait that begins with the first of them."""
        if self._paused:
            self._consumer.resume(to_kafka(self._paused))
            self._paused.clear()
        batch, self._early = self._early, []
        size = sum(len(each.value or b"") for each in batch)
        end = time.monotonic() + (self._settings.wait if batch else _IDLE)
        while len(batch) < self._settings.batch and size < self._service.max_body_bytes:
            left = end - time.monotonic()
            if left <= 0:
                break
            is_first = not batch
            most = 1 if is_first else min(self._settings.batch - len(batch), _CHUNK)
            found = self._valid(self._consumer.consume(most, timeout=left))
            batch += found
            size += sum(len(each.value or b"") for each in found)
            if is_first and batch:
                end = time.monotonic() + self._settings.wait
        return batch

    def _valid(self, messages: Iterable[Message[bytes, bytes]]) -> list[Incoming]:
        """Return the records among messages. Raise Stopped for an error that remains."""
        found = []
        for message in messages:
            error = message.error()
            if error is None:
                found.append(read_message(message))
            elif error.fatal() or error.code() in _REFUSED:
                raise Stopped(f"the consumer cannot read: {error.str()}")
            else:
                self._warn(f"Kafka: {error.str()}")
        return found

    def _finish(self, stopping: Event) -> None:
        """Score the batch, write the results and the failures, commit the offsets. Raise Stopped."""
        began = time.monotonic()
        batch = self._batch
        records = [each.record for each in batch.incoming if each.record is not None]
        future = self._pool.submit(score_all, self._scorer, records, lambda: self._gives_up(stopping), self._warn)
        self._hold(lambda seconds: is_done(future, seconds))
        scoring = future.result()
        messages = self._outgoing(batch, scoring)
        self._write(batch, messages, stopping)
        self._commit()
        errors = {each.incoming.id: each.error for each in messages if each.error is not None}
        with suppress(Exception):  # a failing log must not fail the records
            self._report(batch, scoring, errors, round((time.monotonic() - began) * 1000, 3))
        if self._blocked is not None:
            raise self._blocked
        if self._loader.state == "failed":
            raise Stopped("the model cannot be served")

    def _gives_up(self, stopping: Event) -> bool:
        """Whether no more records are to be scored, after a pause."""
        return stopping.wait(_AGAIN) or self._loader.state == "failed"

    def _outgoing(self, batch: Batch, scoring: Scoring) -> list[Outgoing]:
        """Return what is to be written; without a topic for failures, nothing behind a failure in its partition."""
        outcomes = iter(scoring.outcomes)
        blocked: set[Partition] = set()
        messages = []
        for each in batch.incoming:
            outcome = None if each.record is None else next(outcomes)
            if not batch.is_kept(each) or each.partition in blocked:
                continue
            message = None if outcome is not None and is_passing(outcome) else self._message(each, outcome)
            if message is None:
                blocked.add(each.partition)
            else:
                messages.append(message)
        return messages

    def _message(self, incoming: Incoming, outcome: Outcome | None) -> Outgoing | None:
        if outcome is None or outcome.error is None:
            return result_message(incoming, outcome, self._settings.results)
        return self._failure(incoming, outcome.error)

    def _failure(self, incoming: Incoming, error: RequestError) -> Outgoing | None:
        """Return a dead letter; None without a topic for it, and the consumer stops after this batch."""
        if self._settings.failures:
            return dead_letter(incoming, error, self._service.model, self._settings.failures)
        place = f" at {error.path}" if error.path else ""
        self._block(
            f"record {incoming.id} cannot be scored: {error.message}{place}; name a topic for such records with "
            f"PILOTLIGHT_KAFKA_FAILURES, or leave it out: commit offset {incoming.offset + 1} of its partition for the "
            f"group {self._settings.group}"
        )
        return None

    def _block(self, message: str) -> None:
        self._blocked = self._blocked or Stopped(message)

    def _write(self, batch: Batch, messages: list[Outgoing], stopping: Event) -> None:
        """Write messages until each is acknowledged, however long the destination is down."""
        patience = Patience(stopping)
        while messages := [each for each in messages if batch.is_kept(each.incoming)]:
            self._writer.begin(messages, batch.mark_written)
            self._hold(lambda seconds: self._writer.wait(seconds) or patience.has_ended())
            messages = self._again(messages)
            if not messages or patience.has_ended():
                break
            self._hold(partial(has_come, time.monotonic() + _AGAIN))
        self._health.fault = ""

    def _again(self, messages: list[Outgoing]) -> list[Outgoing]:
        """Return what to write again: from the first message that was refused for now, so that their order stays.

        A result that is too large becomes a dead letter. Raise Stopped if the client cannot go on.
        """
        errors = {message.incoming.id: error for message, error in self._writer.refused}
        again: list[Outgoing] = []
        self._health.fault = ""
        for message in messages:
            error = errors.get(message.incoming.id)
            if error is not None and error.fatal():
                raise Stopped(f"the results cannot be written: {error.str()}; a new start may help")
            if error is not None and error.code() in _TOO_LARGE:
                letter = self._too_large(message, error)
                again += [letter] if letter is not None else []
                continue
            if error is not None and not self._health.fault:
                self._health.fault = f"topic {message.topic} takes no messages: {error.str()}"
                self._warn(f"{self._health.fault}; record {message.incoming.id} and {len(errors) - 1} others wait")
            again += [message] if self._health.fault else []
        return again

    def _too_large(self, message: Outgoing, error: KafkaError) -> Outgoing | None:
        """Return the dead letter for a result that its topic does not take, or None to stop after this batch."""
        what = "result" if message.error is None else "dead letter"
        reason = f"the {what} could not be written to topic {message.topic}: {error.str()}"
        if message.error is None:
            return self._failure(message.incoming, RequestError(reason, code="destination"))
        self._block(f"record {message.incoming.id} cannot be scored, and {reason}")
        return None

    def _report(self, batch: Batch, scoring: Scoring, errors: Mapping[str, RequestError], latency_ms: float) -> None:
        self._service.report(
            scored(
                scoring,
                errors,
                self._service.model,
                request_id=batch.incoming[0].id,
                source=",".join(sorted({each.partition[0] for each in batch.incoming})),
                records=len(batch.incoming),
                failed=0,
                rejected=len(errors),
                latency_ms=latency_ms,
            )
        )

    def _hold(self, has_ended: Callable[[float], bool]) -> None:
        """Wait until something is done; if it takes long, pause the partitions and go on asking for messages."""
        end = time.monotonic() + _PATIENCE
        while not has_ended(_POLL):
            if not self._paused and time.monotonic() < end:
                continue
            assigned = {(each.topic, each.partition) for each in self._consumer.assignment()}
            if added := assigned - self._paused:
                self._consumer.pause(to_kafka(added))
                self._paused |= added
            message = self._consumer.poll(0)  # of a partition that was assigned just now, if any
            self._early += self._valid([message] if message is not None else [])
            self._health.beat()

    def _revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit what is done of partitions that another consumer gets, and drop the rest."""
        revoked = {(each.topic, each.partition) for each in partitions}
        self._commit(revoked, waits=not self._health.fault)  # brokers that are down would not answer
        self._drop(revoked)

    def _lose(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what is under way of partitions that another consumer has got already."""
        self._drop({(each.topic, each.partition) for each in partitions})

    def _drop(self, partitions: set[Partition]) -> None:
        self._batch.drop(partitions)
        self._offsets = {each: offset for each, offset in self._offsets.items() if each not in partitions}
        self._early = [each for each in self._early if each.partition not in partitions]

    def _commit(self, only: Collection[Partition] | None = None, *, waits: bool = False) -> None:
        """Commit offsets, those of `only` some partitions if given. `committed` gets the answer.

        With `waits` it is there on return: without an answer to the last commit a partition may not be given away.
        """
        self._offsets |= self._batch.offsets()
        offsets = self._offsets.items()
        wanted = [TopicPartition(*each, offset) for each, offset in offsets if only is None or each in only]
        if not wanted:
            return
        try:
            if waits:
                self.committed(None, self._consumer.commit(offsets=wanted, asynchronous=False))
            else:
                self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            self.committed(error.args[0], [])

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Note what is committed; the client calls it. What failed is committed with the next batch."""
        reasons = {error.str()} if error is not None else {each.error.str() for each in partitions if each.error}
        for each in partitions:
            key = (each.topic, each.partition)
            if error is None and each.error is None and self._offsets.get(key) == each.offset:
                del self._offsets[key]
        for reason in reasons:
            self._warn(f"offsets are not committed: {reason}; their records may come again, with the same ids")
