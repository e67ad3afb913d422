"""GETs over a socket, against servers that say what they like."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pilotlight.errors import StoreError
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Address, BadResponse, Connection, HttpResponse, percent_encoded
from pilotlight.fetch.tls import Trust

Ask = Callable[..., HttpResponse]


def deadline(seconds: float = 60.0) -> Deadline:
    return Deadline(time.monotonic, time.monotonic() + seconds)


class Scripted:
    """A server that answers each request of a connection with the next of its answers, and then hangs up."""

    def __init__(self, *connections: list[bytes]) -> None:
        self.asked: list[bytes] = []
        self._connections = connections
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.address = Address(tls=False, host="127.0.0.1", port=self._server.getsockname()[1])

    def close(self) -> None:
        self._server.close()
        self._thread.join(60)

    def _serve(self) -> None:
        for answers in self._connections:
            caller, _ = self._server.accept()
            with caller:
                for answer in answers:
                    self.asked.append(caller.recv(65536))
                    caller.sendall(answer)


def body(answer: HttpResponse, room: int = 100, seconds: float = 60.0) -> bytes:
    content = bytearray(room)
    return bytes(content[: answer.read_into(memoryview(content), deadline(seconds))])


@pytest.fixture
def lines() -> Iterator[Connection]:
    with closing(Connection(Trust([]))) as line:
        yield line


def answered(line: Connection, said: bytes) -> HttpResponse:
    with closing(Scripted([said])) as server:
        return line.get(server.address, "/k", {}, deadline())


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200\r\ncontent-length:3\r\n\r\nabcd", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: v\r\n\r\n", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_body_ends_where_the_server_says(said: bytes, found: bytes, lines: Connection) -> None:
    answer = answered(lines, said)
    assert body(answer) == found
    assert answer.error is None


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ],
)
def test_of_a_body_that_breaks_off_what_came_is_given(said: bytes, lines: Connection) -> None:
    answer = answered(lines, said)
    assert body(answer) == b"abc"
    assert isinstance(answer.error, ConnectionError)


@pytest.mark.parametrize(
    "said",
    [
        b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_not_http_is_told(said: bytes, lines: Connection) -> None:
    with pytest.raises(BadResponse):
        answered(lines, said)


def test_a_connection_is_kept_for_the_next_request_and_made_anew_where_it_has_ended(lines: Connection) -> None:
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    with closing(Scripted([good, good], [good])) as server:
        for _ in range(3):
            assert body(lines.get(server.address, "/k", {"Range": "bytes=0-0"}, deadline())) == b"a"
        host = f"127.0.0.1:{server.address.port}"
    assert len(server.asked) == 3
    assert server.asked[0] == f"GET /k HTTP/1.1\r\nHost: {host}\r\nRange: bytes=0-0\r\n\r\n".encode()


def test_a_body_that_was_not_read_is_not_taken_for_the_next_answer(lines: Connection) -> None:
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
    with closing(Scripted([good], [good])) as server:
        lines.get(server.address, "/k", {}, deadline())
        assert body(lines.get(server.address, "/k", {}, deadline())) == b"ab"


@pytest.mark.parametrize("value", ["a\r\nX: y", "ü", "\0"])
def test_a_header_that_cannot_be_one_is_not_sent(value: str, lines: Connection) -> None:
    with closing(Scripted()) as server, pytest.raises(StoreError, match="not printable ASCII"):
        lines.get(server.address, "/k", {"X": value}, deadline())


def test_the_wait_for_a_piece_is_bounded_however_many_bytes_drip(lines: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(tls=False, host="127.0.0.1", port=server.getsockname()[1])
        stop = threading.Event()

        def drip() -> None:
            caller, _ = server.accept()
            with caller:
                caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\nx")
                while not stop.wait(0.02):
                    caller.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        answer = lines.get(address, "/k", {}, deadline())
        began = time.monotonic()
        assert 0 < len(body(answer, 3000, seconds=0.4)) < 3000
        assert time.monotonic() - began < 30
        assert isinstance(answer.error, TimeoutError)
        stop.set()
        thread.join(60)


def test_what_a_path_cannot_hold_is_percent_encoded() -> None:
    assert percent_encoded("a/b c~ü%", b"/") == "a/b%20c~%C3%BC%25"
    assert percent_encoded("a/b") == "a%2Fb"
