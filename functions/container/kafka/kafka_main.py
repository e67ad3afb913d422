"""The Kafka consumer in a container: topics in, results and dead letters out. `python -m kafka_main` starts it."""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a start
gc.disable()

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import NoReturn

from confluent_kafka import Consumer, KafkaException, Producer

import cloud_logging
from kafka_consumer import KafkaConsumer, OnCommit
from kafka_health import Health, serve_probes
from kafka_properties import reading_properties, writing_properties
from kafka_settings import KafkaSettings, take_settings
from kafka_writer import Writer
from pilotlight.boot import Platform, boot
from pilotlight.errors import PilotlightError, SettingsError
from pilotlight.fetch import ObjectStore
from pilotlight.service import Service
from pilotlight.start.loading import Loader
from pilotlight.start.machine import here

# What the client says of properties that are for the other one of the two.
_OTHERS = ("will be ignored by this consumer instance", "will be ignored by this producer instance")


def main() -> None:
    """Score until SIGTERM. Exit with 1 and a line in the log for what cannot go on."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # until the loop runs, nothing is under way
        signal.signal(number, lambda number, _: os._exit(128 + number))
    try:
        settings = take_settings(os.environ)
        port = _port(os.environ)
    except SettingsError as error:
        _fail(error)
    service, loader = boot(
        Platform(
            folder=Path(__file__).parent,
            stores={"s3": _s3_store, "gs": _gcs_store},
            reporter=cloud_logging.reporter,
            deadline=60.0,
            started=_STARTED,
            machine=here,
        ),
        os.environ,
    )
    gc.enable()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        _run(service, loader, settings, port, stopping)
    except PilotlightError as error:
        _fail(error)


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


def _s3_store(url: str) -> ObjectStore:
    from s3_store import S3Store  # noqa: PLC0415 - one of two stores is used

    return S3Store(url, warn=cloud_logging.warn)


def _gcs_store(url: str) -> ObjectStore:
    from gcs_store import GcsStore  # noqa: PLC0415

    return GcsStore(url)


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


def _fail(error: PilotlightError) -> NoReturn:
    cloud_logging.fail(f"{type(error).__name__}: {error}")
    sys.exit(1)


if __name__ == "__main__":
    main()
