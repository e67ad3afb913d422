"""`pilotlight serve`."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rich.table import Table

from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight_cli import console
from pilotlight_cli.local.client import send
from pilotlight_cli.local.container_runtime import GRPC_PORT
from pilotlight_cli.local.page import PATH, title
from pilotlight_cli.local.process import Log, ServeError, parse_event
from pilotlight_cli.local.server import Server, serving
from pilotlight_cli.local.versions import Served, versions_of
from pilotlight_cli.project.events import example_request
from pilotlight_cli.registry.availability import store_of
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.registry.versions import resolve
from pilotlight_cli.staging.sources import beside
from pilotlight_cli.stores import open_store

_RUNTIMES = {
    "aws": "AWS Lambda's own Python runtime",
    "gcp": "the Functions Framework as Cloud Functions run it",
    "container": "the server of its container",
}
_NOISE = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")
_MAX_WIDTH = 200  # characters of a request
_POLL_SECONDS = 0.2


def run_serve(
    cloud: str, lock: Path, store: str | None, port: int, compare: str, *, grpc_port: int | None, once: bool
) -> None:
    """Serve until a signal; with `once`, until the first response is printed.

    The page can ask the store's other versions of the model; `compare`, if given, starts at once beside the pinned one.
    `grpc_port`, if given, is for the server of a container, which then speaks gRPC too.
    Ctrl-C and SIGTERM stop everything that was started, without an error. Raise PilotlightError.
    """
    try:
        with interrupted_by_signals():
            _serve(cloud, lock, store, port, compare, grpc_port=grpc_port, once=once)
    except KeyboardInterrupt:
        console.messages().print("Stopped.")


def _serve(
    cloud: str, lock: Path, store: str | None, port: int, compare: str, *, grpc_port: int | None, once: bool
) -> None:
    pinned = load_lock(lock)
    name = title(pinned.model)
    console.messages().print(f"Starting {name} in {_RUNTIMES[cloud]}", soft_wrap=True)
    golden = golden_of(pinned.model.signature, beside(lock, GOLDEN))
    source = store or store_of(lock)
    compared = title(resolve(open_store(source), compare).model) if compare else ""
    environ = os.environ if grpc_port is None else {**os.environ, GRPC_PORT: str(grpc_port)}
    with (
        versions_of(Served(pinned.model, golden), cloud, lock, source, compared) as versions,
        serving(cloud, lock, store, port, environ=environ, in_front=versions.in_front) as server,
    ):
        _, printed = server.log.since(0)
        console.output().print(f"{name} answers on {server.url}", soft_wrap=True)
        if grpc_port is not None:
            console.output().print(f"Over gRPC it answers on 127.0.0.1:{grpc_port}", soft_wrap=True)
        if not once:
            console.output().print(f"A page to try it: {server.url}{PATH}", soft_wrap=True)
        console.output().print()
        console.output().print(_phases(server.cold_start))
        _show_response(server, *(example_request(pinned.model.signature, golden) or ("/health/ready", None)))
        if not once:
            console.messages().print("\nPress Ctrl-C to stop.")
            _follow_log(server, printed)


def _phases(cold_start: Mapping[str, Any]) -> Table:
    """Return a table of the cold start's phases, which overlap, so that they do not add up."""
    rows = [(name, f"{took:.0f} ms") for name, took in cold_start.get("phases_ms", {}).items()]
    return console.table(("cold start", "took"), rows, right=("took",))


def _show_response(server: Server, path: str, body: object) -> None:
    before = len(server.log.events("request"))
    response = send(server.url, path, body)
    server.log.wait_for("request", 1, after=before)
    if response.status != 200:
        raise ServeError(f"{path} responded with {response.error}\n{server.log.tail()}")
    sent = "" if body is None else json.dumps(body)
    shown = sent if len(sent) <= _MAX_WIDTH else f"{sent[:_MAX_WIDTH]}..."
    console.output().print(f"\n{'POST' if sent else 'GET'} {path} {shown}", soft_wrap=True)
    console.output().print(json.dumps(response.document, indent=2, ensure_ascii=False), soft_wrap=True)


def _follow_log(server: Server, printed: int) -> NoReturn:
    """Print what the function logs after the first `printed` lines, until a signal or the function's end."""
    while True:
        server.check()
        printed = print_log(server.log, printed)
        time.sleep(_POLL_SECONDS)


def print_log(log: Log, printed: int) -> int:
    """Print the lines after the first `printed` in a readable form; return how many there are now."""
    lines, printed = log.since(printed)
    for line in lines:
        text = readable(line)
        if text:
            console.messages().print(text, soft_wrap=True)
    return printed


def readable(line: str) -> str:
    """Return a log line in a readable form: requests in short, nothing for the emulator's steps, the rest as it is."""
    event = parse_event(line)
    if event is None:
        return "" if line.startswith(_NOISE) or "(rapid)" in line else line
    error = f"\n{event['error']}" if event.get("error") else ""
    if event["event"] == "request":
        took = event.get("latency_ms", 0)
        return f"{event.get('method')} {event.get('route') or '(no route)'} {event.get('status')} {took:.1f} ms{error}"
    if event["event"] == "cold_start":
        return f"cold start: {event.get('state')}{error}"
    return line


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into one KeyboardInterrupt, and ignore those that follow during the cleanup."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(_number: int, _frame: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
