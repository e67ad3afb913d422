"""`pilotlight consume`: runs the Kafka consumer on this machine, as its container does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from pilotlight.model.lock import load_lock
from pilotlight_cli import console
from pilotlight_cli.local.command import interrupted_by_signals, print_log
from pilotlight_cli.local.container_runtime import ContainerProcess
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.process import ServeError, free_port
from pilotlight_cli.local.server import prepare
from pilotlight_cli.registry.availability import store_of
from pilotlight_cli.registry.versions import show
from pilotlight_cli.staging.sources import CONTAINER, KAFKA
from pilotlight_cli.stores import open_store

_POLL_SECONDS = 0.2


class KafkaRuntime(ContainerProcess):
    """A consumer; it answers probes on `url`."""

    def __init__(self, function: Function) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__("kafka_main", function, {"PORT": str(port)})


@contextmanager
def kafka_runtime(function: Function) -> Iterator[KafkaRuntime]:
    """Run a staged consumer. Its own environment has its settings."""
    runtime = KafkaRuntime(function)
    try:
        yield runtime
    finally:
        runtime.stop()


def run_consume(lock: Path, store: str | None) -> None:
    """Score topics until a signal, and print the log. The settings are those of the environment.

    Raise PilotlightError: ServeError with the consumer's last lines if it ends by itself.
    """
    store = store or store_of(lock)
    model = load_lock(lock).model
    show(open_store(store), model.name, model.version)  # the consumer itself would retry for a long time
    try:
        with interrupted_by_signals(), TemporaryDirectory(prefix="pilotlight-") as folder:
            temporary = Path(folder) / "tmp"
            temporary.mkdir()
            environ = {**passed_on(os.environ), "PILOTLIGHT_STORE": store, "TMPDIR": str(temporary)}
            environ.pop("PILOTLIGHT_LOCK", None)
            function = prepare(CONTAINER, lock, Path(folder) / "function", environ, KAFKA)
            with kafka_runtime(function) as runtime:
                console.messages().print(f"Scoring with {model.name}:{model.version}. Press Ctrl-C to stop.")
                _follow(runtime)
    except KeyboardInterrupt:
        console.messages().print("Stopped.")


def _follow(runtime: KafkaRuntime) -> NoReturn:
    printed = 0
    while runtime.exit_code is None:
        printed = print_log(runtime.log, printed)
        time.sleep(_POLL_SECONDS)
    raise ServeError(f"the consumer ended with exit code {runtime.exit_code}:\n{runtime.log.tail()}")
