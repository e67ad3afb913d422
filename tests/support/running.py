"""The function in each cloud's own runtime, and the server, by one name each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import drivers
from drivers import Driver
from harness import Pinned, in_functions_framework, in_lambda, in_server
from pilotlight_cli.local.events import http_api_event
from pilotlight_cli.local.process import Log
from pilotlight_cli.local.stores import EmbeddedStore

RUNTIMES = ("aws", "gcp", "server")


@contextmanager
def running(runtime: str, model: Pinned, store: EmbeddedStore, **settings: str) -> Iterator[tuple[Driver, Log]]:
    """Run one of RUNTIMES; give what sends requests to it, and its log."""
    if runtime == "aws":
        with in_lambda(model, store, **settings) as function:
            yield drivers.lambda_function(function.invoke, http_api_event), function.log
    elif runtime == "gcp":
        with in_functions_framework(model, store, **settings) as function:
            yield drivers.http(function.url), function.log
    else:
        with in_server(model, store, PILOTLIGHT_SERVER_WORKERS="2", **settings) as server:
            yield drivers.http(server.url), server.log
