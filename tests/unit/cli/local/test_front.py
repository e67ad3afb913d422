from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
import requests
from werkzeug.wrappers import Request, Response

from pilotlight.errors import StoreError
from pilotlight_cli.local.front import forwarding, with_page, with_versions
from pilotlight_cli.local.wsgi import serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    request = Request(environ)
    told = {"x-target": environ["REQUEST_URI"], "x-method": request.method, "x-asked": request.headers.get("x-ask", "")}
    return Response(request.get_data(), 418, told)(environ, start_response)


def document(query: Mapping[str, str]) -> bytes:
    if "bad" in query:
        raise StoreError("no such version")
    return b"<p>page"


@pytest.fixture
def url() -> Iterator[str]:
    with serving_wsgi(echo) as behind, serving_wsgi(with_page(forwarding(behind, 60), document)) as found:
        yield found


def test_the_page_is_at_its_path_and_may_call_its_own_server_alone(url: str) -> None:
    reply = requests.get(f"{url}/docs")
    assert (reply.status_code, reply.content) == (200, b"<p>page")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert requests.head(f"{url}/docs").headers["content-length"] == "7"


def test_all_else_goes_to_the_function_as_it_is_and_its_answer_comes_back(url: str) -> None:
    reply = requests.put(f"{url}/v2/a%2Fb?c=%20", data=b"\x00\xff", headers={"x-ask": "1"})
    assert (reply.status_code, reply.content) == (418, b"\x00\xff")
    assert {name: reply.headers[name] for name in ("x-target", "x-method", "x-asked")} == {
        "x-target": "/v2/a%2Fb?c=%20",
        "x-method": "PUT",
        "x-asked": "1",
    }


def test_a_post_to_the_pages_path_is_the_functions(url: str) -> None:
    assert requests.post(f"{url}/docs").status_code == 418


def test_the_answer_to_head_keeps_its_headers(url: str) -> None:
    reply = requests.head(f"{url}/x")
    assert (reply.status_code, reply.headers["x-method"]) == (418, "HEAD")


@pytest.mark.parametrize("rest", ["Transfer-Encoding: chunked\r\n\r\nzz\r\n", "Content-Length: 9\r\n\r\n{}"])
def test_a_body_that_is_broken_off_or_malformed_is_the_callers_mistake(rest: str, url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(f"POST /x HTTP/1.1\r\nHost: x\r\n{rest}".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).split()[1] == b"400"


def test_a_function_that_is_gone_is_a_502(closed_port: int) -> None:
    with serving_wsgi(forwarding(f"http://127.0.0.1:{closed_port}", 1)) as url:
        assert requests.get(url).status_code == 502


def test_another_version_is_asked_below_its_own_path() -> None:
    def url_of(name: str) -> str:
        if name != "m:2":
            raise StoreError(f"{name} does not start")
        return behind

    with serving_wsgi(echo) as behind, serving_wsgi(with_versions(echo, url_of, 60)) as url:
        assert requests.get(f"{url}/docs/versions/m%3A2/v2/a%2Fb?a=1").headers["x-target"] == "/v2/a%2Fb?a=1"
        assert requests.get(f"{url}/docs/versionss").headers["x-target"] == "/docs/versionss"
        reply = requests.get(f"{url}/docs/versions/m:3/predict")
        assert (reply.status_code, reply.text) == (502, "m:3 does not start")


def test_a_page_that_cannot_be_made_is_a_sentence(url: str) -> None:
    reply = requests.get(f"{url}/docs?bad")
    assert (reply.status_code, reply.text) == (502, "no such version")


def test_a_server_that_stops_answers_what_it_has_accepted() -> None:
    begun, going_on, answered = threading.Event(), threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        begun.set()
        going_on.wait(60)
        answered.set()
        return echo(environ, start_response)

    with serving_wsgi(slow) as url:
        connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 60)
        connection.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(60)
        threading.Timer(0.3, going_on.set).start()
    assert answered.is_set()
    with connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 418")
