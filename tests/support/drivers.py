"""The ways to the same core: each sends a request and returns the reply as an HTTP client sees it."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import requests

from pilotlight.http.messages import Request
from pilotlight.service import Service
from pilotlight_cli.local.events import HttpRequest


class Reply:
    """Status, headers by lower-case name, body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


class Driver(Protocol):
    """Sends one request."""

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request and return the reply."""
        ...


Drivers = dict[tuple[str, str], Driver]
"""By way and model."""

Addresses = dict[tuple[str, str], str]
"""The URLs of functions behind HTTP, by cloud and model; AWS's is that of an HTTP API."""

# On ONNX Runtime's C API, as models are pinned by themselves, and on its Python binding.
ON_THE_BINDING = ("core on the binding", "functions-framework on the binding")
ON_AWS = ("http-api", "local front", "rest-api", "function-url", "load-balancer", "lattice")
WAYS = ("core", *ON_AWS, "functions-framework", "server", *ON_THE_BINDING)


def core(service: Service) -> Driver:
    """Return a driver of the service itself, in this process."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        named = {name.lower(): value for name, value in headers.items()}
        response = service.handle(Request(method, unquote(path), named, body))
        return Reply(response.status, response.headers, response.body)

    return send


def lambda_function(invoke: Callable[[object], Any], to_event: Callable[[HttpRequest], object]) -> Driver:
    """Return a driver of the function in Lambda's own runtime, by events of one family."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        length = (("content-length", str(len(body))),) if body else ()
        request = HttpRequest(method, path, (*headers.items(), *length), body, time=time.time())
        result = invoke(to_event(request))
        text = result["body"]
        return Reply(
            result["statusCode"], result["headers"], b64decode(text) if result["isBase64Encoded"] else text.encode()
        )

    return send


def http(url: str) -> Driver:
    """Return a driver of a function behind HTTP."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        reply = requests.request(method, f"{url}{path}", headers=dict(headers), data=body, timeout=60)
        return Reply(reply.status_code, reply.headers, reply.content)

    return send
