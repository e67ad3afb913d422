"""Malformed requests over the wire: each front refuses them and closes the connection, and answers the next one."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
import requests

from catalogue.building import ROW
from catalogue.wire import TARGETS, WIRES, Wire, request
from drivers import Addresses
from pilotlight_cli.local.gateway import gateway_application
from pilotlight_cli.local.wsgi import QuietHandler, serving_wsgi

ALL = [pytest.param(wire, id=f"{kind}: {wire.name}") for kind, found in WIRES.items() for wire in found]


def exchanged(url: str, sent: bytes, *, ends: bool) -> bytes:
    """Return all that comes back until the server closes the connection. `ends`: the client has no more to send."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 20) as connection:
        connection.sendall(sent)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as reply:
            return reply.read()


def status(reply: bytes) -> int:
    return int(reply.split(maxsplit=2)[1])


@pytest.mark.parametrize("wire", ALL)
@pytest.mark.parametrize("cloud", ["aws", "gcp", "container"])
def test_a_malformed_request_is_refused_and_a_good_one_behind_it_is_answered(
    cloud: str, wire: Wire, addresses: Addresses
) -> None:
    url = addresses[cloud, "breast-cancer"]
    reply = exchanged(url, wire.sent, ends=True)
    assert status(reply) == wire.status
    if cloud == "aws":
        assert json.loads(reply.partition(b"\r\n\r\n")[2]) == {"message": HTTPStatus(wire.status).phrase}
    good = requests.post(f"{url}/predict", json={"features": ROW}, timeout=60)
    assert (good.status_code, json.loads(good.content)["model_name"]) == (200, "breast-cancer")


@pytest.mark.parametrize("target", TARGETS)
def test_every_front_reads_a_target_alike(target: str, addresses: Addresses) -> None:
    body = json.dumps({"features": ROW}).encode()
    fields = (
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "X-Request-Id: one",
        "Connection: close",
    )
    sent = request(*fields, line=f"POST {target} HTTP/1.1", body=body)
    replies = [exchanged(addresses[cloud, "breast-cancer"], sent, ends=False) for cloud in ("aws", "gcp", "container")]
    assert [status(reply) for reply in replies] == [TARGETS[target]] * 3
    assert len({reply.partition(b"\r\n\r\n")[2] for reply in replies}) == 1


@pytest.fixture
def hasty() -> Iterator[str]:
    """Yield the URL of a local front that waits for half a second."""

    class Hasty(QuietHandler):
        seconds = 0.5

    with serving_wsgi(gateway_application(lambda _: "answered"), handler=Hasty) as url:
        yield url


HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (HEAD + b"\r\n", 408),
        (HEAD + b"\r\n{}", 408),
        (HEAD + b"Expect: 100-continue\r\n\r\n", 408),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", 408),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2", 408),
        (HEAD, None),  # there is no request to answer yet
        (b"", None),
    ],
)
def test_the_local_front_waits_for_a_request_for_a_time(sent: bytes, expected: int | None, hasty: str) -> None:
    started = time.monotonic()
    reply = exchanged(hasty, sent, ends=False).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert time.monotonic() - started < 5
    assert (status(reply) if reply else None) == expected
    assert requests.get(hasty, timeout=60).text == "answered"


def test_the_local_front_does_not_wait_longer_for_a_body_that_comes_byte_by_byte(hasty: str) -> None:
    parts = urlsplit(hasty)
    with socket.create_connection((parts.hostname, parts.port), 20) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n")
        connection.settimeout(0.1)
        for _ in range(100):
            try:
                reply = connection.recv(1 << 16)
            except TimeoutError:
                connection.sendall(b" ")
            else:
                break
    assert status(reply) == 408


@pytest.mark.parametrize("sent", [HEAD.replace(b"9", b"-9") + b"\r\n", HEAD.replace(b"9", b"2") + b": x\r\n\r\n{}"])
def test_the_local_front_closes_a_refused_connection_though_the_client_does_not(sent: bytes) -> None:
    with serving_wsgi(gateway_application(lambda _: "answered")) as url:
        started = time.monotonic()
        reply = exchanged(url, sent, ends=False)
        assert time.monotonic() - started < 10
    assert status(reply) == 400
    assert json.loads(reply.partition(b"\r\n\r\n")[2]) == {"message": "Bad Request"}
