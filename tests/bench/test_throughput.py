"""The load, against a small server that answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from http_wire import Reply, ask, post, reply_in
from throughput import LoadError, requests_per_second

REQUEST = post("/predict", {"features": [1.0]})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out as a whole: what comes first is one to count, however late
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


class Failing(Handler):
    status = 500


class Closing(Handler):
    protocol_version = "HTTP/1.0"


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that leaves before its response."""


@contextmanager
def serving(handler: type[Handler]) -> Iterator[int]:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_reply_is_whole_when_its_length_has_come() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\n"

    assert reply_in(head[:20]) is None
    assert reply_in(head + b"h") is None
    assert reply_in(head + b"hi") == Reply(200, b"hi")


def test_a_reply_in_chunks_is_whole_when_its_last_chunk_has_come() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"4\r\nfour\r\nA;note=1\r\n0\r\n\r\n more\r\n0\r\n\r\n"

    assert reply_in(head + chunks[:9]) is None
    assert reply_in(head + chunks) == Reply(200, b"four0\r\n\r\n more")


def test_a_reply_whose_length_nobody_says_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a length"):
        reply_in(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhi")


def test_nobody_answers_where_nobody_listens(closed_port: int) -> None:
    assert ask(closed_port, REQUEST, seconds=60) is None


def test_answers_are_counted_on_all_connections() -> None:
    with serving(Handler) as port:
        assert requests_per_second(port, REQUEST, connections=3, seconds=1) > 0
        assert ask(port, REQUEST, seconds=60) == Reply(200, b'{"features": [1.0]}')


def test_an_answer_other_than_200_ends_the_load() -> None:
    with serving(Failing) as port, pytest.raises(LoadError, match="answered 500"):
        requests_per_second(port, REQUEST, connections=2, seconds=60)


def test_a_connection_that_the_server_closes_ends_the_load() -> None:
    with serving(Closing) as port, pytest.raises(LoadError, match="closed a connection"):
        requests_per_second(port, REQUEST, connections=2, seconds=60)
