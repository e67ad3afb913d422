"""The forms of HTTP, the same on every way to the core: methods, request ids, compression, and bodies of bytes."""

from __future__ import annotations

import gzip
import http.client
import json

import pytest

import models
from cases import JSON
from catalogue.building import INFER, bodied, echo
from drivers import WAYS, Addresses, Drivers

MODEL = "breast-cancer"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/", "/health", "/v2", "/v1/models", "/openapi.json"])
def test_a_head_is_a_get_without_its_body(way: str, path: str, ways: Drivers) -> None:
    asked, head = (ways[way, MODEL](method, path, {}, b"") for method in ("GET", "HEAD"))
    assert (asked.status, head.status, head.body) == (200, 200, b"")
    assert head.headers["content-type"] == asked.headers["content-type"]
    assert head.headers.get("content-length") in (None, str(len(asked.body)))


@pytest.mark.parametrize("way", WAYS)
def test_options_tells_what_a_route_takes(way: str, ways: Drivers) -> None:
    reply = ways[way, MODEL]("OPTIONS", "/v2/models/breast-cancer/infer", {}, b"")
    assert (reply.status, reply.body, reply.headers["allow"]) == (204, b"", "POST, OPTIONS")
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("way", WAYS)
def test_a_callers_request_id_comes_back(way: str, ways: Drivers) -> None:
    good = ways[way, MODEL]("GET", "/health", {"X-Request-Id": "order-4711"}, b"")
    wrong = ways[way, MODEL]("POST", "/predict", {**JSON, "X-Request-Id": "order-4712"}, b"")
    assert good.headers["x-request-id"] == "order-4711"
    assert json.loads(wrong.body)["request_id"] == "order-4712"


@pytest.mark.parametrize("way", WAYS)
def test_compressed_bodies_go_in_and_come_out(way: str, ways: Drivers, trained: dict[str, models.Trained]) -> None:
    body = json.dumps({"instances": trained[MODEL].draw(200, seed=1).instances}).encode()
    plain = ways[way, MODEL]("POST", "/predict_batch", {**JSON, "accept-encoding": "identity"}, body)
    packed = ways[way, MODEL](
        "POST", "/predict_batch", {"content-encoding": "gzip", "accept-encoding": "gzip"}, gzip.compress(body)
    )
    assert packed.headers["content-encoding"] == "gzip"
    content = packed.body if packed.body.startswith(b"{") else gzip.decompress(packed.body)  # requests undoes it
    assert content == plain.body
    assert len(content) > 4096


def test_bytes_come_back_the_same_on_every_way(ways: Drivers) -> None:
    body, headers = bodied(echo(outputs=[], parameters={"binary_data_output": True}))
    replies = [ways[way, "echo"]("POST", INFER, headers, body) for way in WAYS]
    assert {reply.status for reply in replies} == {200}
    assert {reply.headers["content-type"] for reply in replies} == {"application/octet-stream"}
    assert len({reply.headers["inference-header-content-length"] for reply in replies}) == 1
    assert len({reply.body for reply in replies}) == 1


def test_a_connection_goes_on_after_replies_without_a_body_and_after_refusals(cloud: str, addresses: Addresses) -> None:
    address = addresses[cloud, MODEL].removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        for method, path, body, status in (
            ("HEAD", "/health", b"", 200),
            ("OPTIONS", "/predict", b"", 204),
            ("POST", "/predict", b"{", 400),
            ("POST", "/nowhere", b"{}", 404),
            ("GET", "/health", b"", 200),
        ):
            connection.request(method, path, body or None, JSON)
            reply = connection.getresponse()
            reply.read()
            assert reply.status == status, (method, path)
    finally:
        connection.close()
