"""The Kafka consumer in a container: topics in, results and dead letters out. `python -m kafka_main` starts it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import logging
import os
import signal
from collections.abc import Mapping
from threading import Event

from confluent_kafka import Consumer, KafkaException, Producer

import cloud_logging
from container_instance import SIGNALS, end_at_once, fail, platform
from kafka_consumer import KafkaConsumer, OnCommit
from kafka_health import Health, serve_probes
from kafka_properties import reading_properties, writing_properties
from kafka_settings import KafkaSettings, take_settings
from kafka_writer import Writer
from pilotlight.boot import boot
from pilotlight.errors import PilotlightError, SettingsError
from pilotlight.service import Service
from pilotlight.start.loading import Loader

# What the client says of properties that are for the other one of the two.
_OTHERS = ("will be ignored by this consumer instance", "will be ignored by this producer instance")


def main() -> None:
    """Score until SIGTERM. Exit with 1 and a line in the log for what cannot go on."""
    stopping = Event()
    end_at_once()  # until the loop runs, nothing is under way
    try:
        settings = take_settings(os.environ)
        port = _port(os.environ)
    except SettingsError as error:
        fail(error)
    service, loader = boot(platform(_STARTED), os.environ)
    gc.enable()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    try:
        _run(service, loader, settings, port, stopping)
    except PilotlightError as error:
        fail(error)


def _run(service: Service, loader: Loader, settings: KafkaSettings, port: int, stopping: Event) -> None:
    health, logger = Health(), _logger()

    def open_consumer(on_commit: OnCommit) -> Consumer:
        return Consumer({**reading_properties(settings), "on_commit": on_commit}, logger=logger)

    try:
        consumer = KafkaConsumer(
            Writer(Producer(writing_properties(settings), logger=logger)),
            settings,
            open_consumer=open_consumer,
            service=service,
            loader=loader,
            health=health,
            warn=cloud_logging.warn,
        )
        server = serve_probes(service, health, port)
    except KafkaException as error:
        raise SettingsError(f"Kafka's client does not start: {error.args[0].str()}") from None
    except OSError as error:
        raise SettingsError(f"PORT {port} cannot be used: {error.strerror}") from None
    try:
        consumer.run(stopping)
    finally:
        server.shutdown()


def _port(environ: Mapping[str, str]) -> int:
    text = environ.get("PORT", "8080")
    if not text.isdecimal() or int(text) > 65535:
        raise SettingsError(f"PORT is {text!r}; expected a port's number")
    return int(text)


def _logger() -> logging.Logger:
    """Return a logger that writes the client's own warnings as lines of the log."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.getMessage().endswith(_OTHERS):
                cloud_logging.warn(f"Kafka: {record.getMessage()}")

    logger = logging.getLogger("kafka")
    logger.propagate = False
    logger.addHandler(Handler(logging.WARNING))
    return logger


if __name__ == "__main__":
    main()
