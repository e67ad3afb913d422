"""Bodies that do not arrive as their head says, over sockets, at the function on Google Cloud and at the server."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from cases import Case
from drivers import Reply
from error_shape import check_refusal
from harness import Pinned, prepared, sample, stored
from pilotlight_cli.local.container_runtime import container_runtime
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.functions_runtime import FunctionsRuntime, functions_runtime
from pilotlight_cli.local.stores import EmbeddedStore
from processes import children
from waiting import wait_until

LIMIT = 4_500_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def store(model: Pinned) -> Iterator[EmbeddedStore]:
    with stored("gcp", model) as found:
        yield found


@dataclass(frozen=True)
class Front:
    """What a runtime needs to have one process that answers, and where the seconds for a client stand."""

    cloud: str
    run: Callable[[Function], AbstractContextManager[FunctionsRuntime]]
    settings: dict[str, str]
    timeout: tuple[str, str]


@pytest.fixture(
    scope="module",
    params=[
        Front("gcp", functions_runtime, {"THREADS": "2"}, ("gunicorn_worker.py", "_CLIENT_TIMEOUT")),
        Front(
            "container", container_runtime, {"PILOTLIGHT_SERVER_WORKERS": "1"}, ("server_protocol.py", "CLIENT_TIMEOUT")
        ),
    ],
    ids=lambda front: front.cloud,
)
def front(request: pytest.FixtureRequest) -> Front:
    return cast("Front", request.param)


@pytest.fixture(scope="module")
def runtime(front: Front, model: Pinned, store: EmbeddedStore) -> Iterator[FunctionsRuntime]:
    with prepared(front.cloud, model, store, front.settings) as function, front.run(function) as found:
        yield found


@pytest.fixture(scope="module")
def impatient(front: Front, model: Pinned, store: EmbeddedStore) -> Iterator[FunctionsRuntime]:
    """Yield the function with few threads, in which a request has a second to arrive."""
    with prepared(front.cloud, model, store, front.settings) as function:
        name, constant = front.timeout
        file = function.folder / name
        code = file.read_text()
        assert code.count(f"\n{constant} = 30.0\n") == 1
        file.write_text(code.replace(f"\n{constant} = 30.0\n", f"\n{constant} = 1.0\n"))
        with front.run(function) as found:
            yield found


@pytest.fixture(scope="module")
def csv(model: Pinned) -> bytes:
    """Return a table of which every line but the first may be left out."""
    names = model.model.signature.feature_names
    return "".join(f"{','.join(row)}\n" for row in [names, *[["1"] * len(names)] * 100]).encode()


def connected(runtime: FunctionsRuntime, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(runtime.url.rpartition(":")[2])), timeout=60)
    connection.sendall(sent)
    return connection


def answer(connection: socket.socket) -> Reply:
    with HTTPResponse(connection) as response:
        response.begin()
        return Reply(response.status, dict(response.getheaders()), response.read())


def posted(headers: str, request_id: str = "none") -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nX-Request-Id: {request_id}\r\n{headers}"
    return f"{head}\r\n\r\n".encode()


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def record(runtime: FunctionsRuntime, request_id: str) -> dict[str, Any]:
    """Return the line of a request; it may be read later than its reply."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in runtime.log.events("request") if line["request_id"] == request_id]

    wait_until(lambda: bool(lines()), limit=60)
    (line,) = lines()
    return line


SHORT = "the body is shorter than its content-length of 9000 bytes"
CHUNKS = "the chunked body is malformed or incomplete"
CHUNKED = "Transfer-Encoding: chunked"
ROWS = b"%s"  # where the table goes, in a body that is otherwise as it stands

BROKEN: dict[str, tuple[str, bytes, str]] = {
    "cut off between two rows": ("Content-Length: 9000", ROWS, SHORT),
    "no body at all": ("Content-Length: 9000", b"", SHORT),
    "cut off within a chunk": (CHUNKED, b"9000\r\n" + ROWS, CHUNKS),
    "cut off between two chunks": (CHUNKED, chunk(b"a,b\n"), CHUNKS),
    "cut off before the last chunk's end": (CHUNKED, chunk(b"a,b\n") + b"0\r\n", CHUNKS),
    "no chunk at all": (CHUNKED, b"", CHUNKS),
    "a chunk's length that is no number": (CHUNKED, b"zz\r\n" + ROWS, CHUNKS),
    "a chunk that is longer than it says": (CHUNKED, b"5\r\n" + ROWS, CHUNKS),
    "a chunk's extension that is none": (CHUNKED, b"5;\x01\r\n" + ROWS, CHUNKS),
    "a size with a sign": (CHUNKED, b"+5\r\na,b\nc\r\n0\r\n\r\n", CHUNKS),
    "a size with a minus": (CHUNKED, b"-5\r\na,b\nc\r\n0\r\n\r\n", CHUNKS),
    "a size with an underscore": (CHUNKED, b"1_0\r\n" + bytes(16) + b"\r\n0\r\n\r\n", CHUNKS),
    "a size with 0x": (CHUNKED, b"0x5\r\na,b\nc\r\n0\r\n\r\n", CHUNKS),
    "a size with a space before it": (CHUNKED, b" 5\r\na,b\nc\r\n0\r\n\r\n", CHUNKS),
    "an empty size": (CHUNKED, b"\r\na,b\nc\r\n0\r\n\r\n", CHUNKS),
    "a size that is longer than any body": (CHUNKED, b"f" * 9000, CHUNKS),
    "lines that end with LF": (CHUNKED, b"4\na,b\n\n0\n\n", CHUNKS),
    "an extension that does not end": (CHUNKED, b"4;" + b"e" * 32_000 + b"\r\na,b\n\r\n0\r\n\r\n", CHUNKS),
    "a trailer about the length": (CHUNKED, chunk(b"a,b\n") + b"0\r\nContent-Length: 4\r\n\r\n", CHUNKS),
    "a trailer that is folded": (CHUNKED, chunk(b"a,b\n") + b"0\r\na: b\r\n c\r\n\r\n", CHUNKS),
    "trailers that end with LF": (CHUNKED, chunk(b"a,b\n") + b"0\r\na: b\n\n", CHUNKS),
    "a trailer that does not end": (CHUNKED, chunk(b"a,b\n") + b"0\r\na: " + b"b" * (1 << 20), CHUNKS),
    "a trailer that is no header": (CHUNKED, chunk(b"a,b\n") + b"0\r\nno header\r\n\r\n", CHUNKS),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_is_broken_off_or_malformed_is_the_callers_mistake(
    name: str, runtime: FunctionsRuntime, csv: bytes
) -> None:
    headers, body, message = BROKEN[name]
    request_id = name.replace(" ", "-")
    with connected(runtime, posted(headers, request_id) + body.replace(ROWS, csv)) as connection:
        connection.shutdown(socket.SHUT_WR)
        reply = answer(connection)
        check_refusal(reply, Case(name, message=message))
        assert connection.recv(1) == b""  # closed: what comes next could be anything
    line = record(runtime, request_id)
    assert (line["status"], line["code"], line["severity"]) == (400, "invalid_request", "WARNING")
    assert "error" not in line
    assert "Traceback" not in runtime.log.tail()


@pytest.mark.parametrize("headers", ["Content-Length: 9000", CHUNKED], ids=["length", "chunks"])
def test_a_connection_that_is_reset_is_no_error_of_ours(headers: str, runtime: FunctionsRuntime) -> None:
    request_id = f"reset-{len(headers)}"
    with connected(runtime, posted(f"{headers}\r\nExpect: 100-continue", request_id)) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # the function reads
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line = record(runtime, request_id)
    assert (line["status"], line["severity"]) == (400, "WARNING")
    assert "Traceback" not in runtime.log.tail()


@pytest.mark.parametrize("ending", [b"0\r\n\r\n", b""], ids=["whole", "cut off"])
def test_a_body_over_the_limit_without_a_length_is_refused_as_one_with_it(
    ending: bytes, runtime: FunctionsRuntime
) -> None:
    body = chunk(bytes(1 << 16)) * (2 * LIMIT >> 16)
    with connected(runtime, posted(CHUNKED) + body + ending) as connection:
        connection.shutdown(socket.SHUT_WR)
        message = "the body exceeds the limit of 4500000 bytes"
        check_refusal(answer(connection), Case("large", status=413, code="too_large", message=message))


MIB = 1 << 20
CALLERS = 8


@pytest.mark.parametrize(
    ("headers", "part", "ending", "kept"),
    [(f"Content-Length: {32 * MIB}", bytes(MIB), b"", 0), (CHUNKED, chunk(bytes(MIB)), b"0\r\n\r\n", LIMIT)],
    ids=["length", "chunks"],
)
def test_bodies_that_will_be_refused_do_not_take_the_memory_of_their_bytes(
    headers: str, part: bytes, ending: bytes, kept: int, runtime: FunctionsRuntime
) -> None:
    """Eight at once, of 32 MiB each, the most that the platform passes on."""
    (worker,) = children(runtime.pid) or [runtime.pid]
    before = memory(worker, "VmRSS")
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak starts again

    def send() -> int:
        with connected(runtime, posted(headers)) as connection:
            for _ in range(32):
                connection.sendall(part)
            connection.sendall(ending)
            return answer(connection).status

    with ThreadPoolExecutor(CALLERS) as pool:
        replies = [pool.submit(send) for _ in range(CALLERS)]
        assert {reply.result() for reply in replies} == {413}
    buffers = 8 * MIB  # gunicorn copies up to a MiB several times
    assert memory(worker, "VmHWM") - before < CALLERS * (kept + buffers)


def memory(pid: int, name: str) -> int:
    """Return a process's memory in bytes: VmRSS now, VmHWM at its peak."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


LONG = "the headers exceed the limit of 8190 bytes each, or of 100"
HEADS: dict[str, tuple[str, Case]] = {
    "two lengths": ("Content-Length: 3\r\nContent-Length: 4", Case("two lengths", message="malformed request: ")),
    "a negative length": ("Content-Length: -3", Case("negative", message="malformed request: ")),
    "a length in words": ("Content-Length: three", Case("words", message="malformed request: ")),
    "a length and chunks": (f"Content-Length: 3\r\n{CHUNKED}", Case("both", message="malformed request: ")),
    "a long header": (f"Cookie: {'c' * 9000}", Case("long", status=431, code="too_large", message=LONG)),
    "many headers": (
        "\r\n".join(f"a{n}: b" for n in range(200)),
        Case("many", status=431, code="too_large", message=LONG),
    ),
    "a name with a space": ("a b: c", Case("space", message="malformed request: ")),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_the_front_refuses_gets_our_error_and_is_counted_as_the_callers(
    name: str, runtime: FunctionsRuntime
) -> None:
    headers, case = HEADS[name]
    with connected(runtime, posted(headers)) as connection:
        reply = answer(connection)
        check_refusal(reply, case)
        assert connection.recv(1) == b""
    line = record(runtime, reply.headers["x-request-id"])
    assert (line["status"], line["code"], line["severity"]) == (case.status, case.code, "WARNING")


def test_an_idle_connection_stays_open_for_a_load_balancers_next_request(runtime: FunctionsRuntime) -> None:
    with connected(runtime, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert answer(connection).status == 200
        connection.settimeout(4)
        with pytest.raises(TimeoutError):  # gunicorn's own time is two seconds
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(connection).status == 200


def test_a_body_that_the_caller_announces_is_asked_for(runtime: FunctionsRuntime, csv: bytes) -> None:
    with connected(runtime, posted(f"Content-Length: {len(csv)}\r\nExpect: 100-continue")) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(csv)
        reply = answer(connection)
    assert (reply.status, len(json.loads(reply.body)["predictions"])) == (200, 100)


# What a caller sends who then sends nothing more, and whether there is anything to answer; more of them than threads.
SLOW = [
    (b"POST /invo", False),
    (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Le", False),
    (posted("Content-Length: 9000"), True),
    (posted("Content-Length: 9000") + b"a,b\n", True),
    (posted(CHUNKED) + b"9000\r\na,b\n", True),
    (posted(CHUNKED) + chunk(b"a,b\n"), True),
]


def test_callers_who_do_not_finish_their_requests_do_not_stop_the_function(impatient: FunctionsRuntime) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(impatient, sent)) for sent, _ in SLOW]
        assert requests.get(f"{impatient.url}/health", timeout=60).status_code == 200
        for connection, (_, is_asked) in zip(slow, SLOW, strict=True):
            if is_asked:
                message = "the body did not arrive in time"
                check_refusal(answer(connection), Case("late", status=408, code="request_timeout", message=message))
            assert connection.recv(1) == b""  # closed


def test_a_caller_who_sends_a_little_now_and_then_has_no_more_time_than_others(impatient: FunctionsRuntime) -> None:
    with connected(impatient, posted("Content-Length: 9000")) as connection:
        connection.settimeout(0.1)
        received = b""
        while not received:
            with suppress(ConnectionError):  # it may be over by now, and the answer is there to be read
                connection.sendall(b"a")
            with suppress(TimeoutError):
                received = connection.recv(1 << 16)
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_late_body_is_the_callers_mistake_in_the_log(impatient: FunctionsRuntime) -> None:
    with connected(impatient, posted("Content-Length: 9000", "late")) as connection:
        assert answer(connection).status == 408
    line = record(impatient, "late")
    assert (line["code"], line["severity"]) == ("request_timeout", "WARNING")
    assert "Traceback" not in impatient.log.tail()
