from __future__ import annotations

import http.client
import json
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from aws_events import function_url_event, rest_api_event
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.gateway import MAX_BODY_BYTES, Reply, answer, gateway, to_reply
from pilotlight_cli.local.lambda_runtime import EventTooLarge, FunctionFailed, lambda_runtime
from pilotlight_cli.local.process import PortTaken, ServeError, free_port
from processes import lambda_function
from properties import given, st

INTERNAL = {"message": "Internal Server Error"}
TOO_LARGE = {"message": "Request Entity Too Large"}

ECHO = """
import os

def lambda_handler(event, context):
    path = event["rawPath"]
    if path == "/raise":
        raise ValueError
    if path == "/crash":
        os._exit(1)
    if path == "/event":
        return event
    if path == "/headers":
        return {"statusCode": 418, "headers": {"X-Made": "here", "content-type": "a/b"}, "cookies": ["a=1", "b=2"]}
    return {
        "statusCode": 200,
        "headers": {"content-type": event["headers"].get("content-type", "application/octet-stream")},
        "body": event.get("body", ""),
        "isBase64Encoded": event["isBase64Encoded"],
    }
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    function = lambda_function(tmp_path_factory.mktemp("function"), ECHO)
    with lambda_runtime(function) as runtime, gateway(runtime.invoke) as found:
        yield found


def post(url: str, body: bytes, content_type: str | None = "application/json") -> requests.Response:
    headers = {"content-type": content_type} if content_type else {}
    return requests.post(f"{url}/predict", body, headers=headers, timeout=60)


def sent(url: str, *lines: bytes) -> bytes:
    """Return what comes back for a request as it goes over the wire."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(b"\r\n".join((*lines, b"")))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as reply:
            return reply.read()


def test_blanks_around_a_headers_value_are_no_part_of_it(url: str) -> None:
    reply = sent(url, b"GET /event HTTP/1.1", b"Host: x", b"Connection: close", b"X-Padded:  a b \t", b"")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["headers"]["x-padded"] == "a b"


def test_bytes_of_any_kind_come_back_as_they_went(url: str) -> None:
    body = bytes(range(256)) * 20

    reply = post(url, body, "application/octet-stream")

    assert (reply.status_code, reply.content) == (200, body)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-length"] == str(len(body))


def test_text_comes_back_as_it_went(url: str) -> None:
    body = '{"a": "é 😀"}'.encode()

    assert post(url, body).content == body


def test_a_function_sees_the_event_of_an_http_api(url: str) -> None:
    reply = requests.get(
        f"{url}/event?a=1&b=%2F&a=2", headers={"X-Two": "1", "Cookie": "c=1; d=2", "user-agent": "me"}, timeout=30
    )
    event = reply.json()

    assert reply.headers["content-type"] == "application/json"
    assert event["version"] == "2.0"
    assert event["rawQueryString"] == "a=1&b=%2F&a=2"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "/"}
    assert event["cookies"] == ["c=1", "d=2"]
    assert event["headers"]["x-two"] == "1"
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"] == {
        "method": "GET",
        "path": "/event",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "me",
    }
    assert event["requestContext"]["requestId"] == reply.headers["apigw-requestid"]
    assert "body" not in event


def test_status_headers_and_cookies_reach_the_caller(url: str) -> None:
    reply = requests.get(f"{url}/headers", timeout=60)

    assert (reply.status_code, reply.content) == (418, b"")
    assert reply.headers["x-made"] == "here"
    assert reply.headers["content-type"] == "a/b"
    assert reply.cookies.get_dict() == {"a": "1", "b": "2"}


@pytest.mark.parametrize("path", ["/raise", "/crash"])
def test_what_goes_wrong_in_the_function_is_a_500_and_the_next_request_is_answered(path: str, url: str) -> None:
    reply = requests.get(url + path, timeout=60)

    assert (reply.status_code, reply.json()) == (500, INTERNAL)
    assert post(url, b"{}").content == b"{}"


@pytest.mark.parametrize(
    ("size", "content_type", "status"),
    [
        (4_600_000, "application/octet-stream", 200),
        (4_800_000, "application/octet-stream", 413),  # base64 makes it larger than Lambda's limit
        (4_800_000, "text/plain", 200),
        (MAX_BODY_BYTES + 1, "text/plain", 413),
        (3 * MAX_BODY_BYTES, "text/plain", 413),
    ],
)
def test_a_body_over_the_limits_is_a_413_that_the_caller_can_read(
    size: int, content_type: str, status: int, url: str
) -> None:
    reply = post(url, b"x" * size, content_type)

    assert reply.status_code == status
    assert len(reply.content) == size if status == 200 else reply.json() == TOO_LARGE
    assert post(url, b"{}").status_code == 200


def test_a_body_in_chunks_arrives_whole(url: str) -> None:
    reply = requests.post(
        f"{url}/predict", iter([b'{"a"', b": 1}"]), headers={"content-type": "application/json"}, timeout=30
    )

    assert reply.content == b'{"a": 1}'


def test_a_head_request_has_no_body(url: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("HEAD", "/event")
    reply = connection.getresponse()

    assert (reply.status, reply.read()) == (200, b"")
    connection.close()


def test_two_gateways_have_ports_of_their_own() -> None:
    with gateway(lambda _: "one") as one, gateway(lambda _: "two") as two:
        assert [requests.get(url, timeout=60).text for url in (one, two)] == ["one", "two"]


def test_a_port_that_is_taken_is_named_and_not_shared() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = rf"port {port} of 127\.0\.0\.1 .*: Address already in use; .* --port"
        with pytest.raises(PortTaken, match=message), gateway(lambda _: None, port):
            pass


def test_a_port_is_free_again_at_once() -> None:
    port = free_port()  # none that the system gives to somebody else meanwhile
    with gateway(lambda _: "one", port) as url:
        assert requests.get(url, timeout=60).text == "one"
    with gateway(lambda _: "two", port) as again:
        assert requests.get(again, timeout=60).text == "two"


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (FunctionFailed("Sandbox.Timedout", "Task timed out"), 500, INTERNAL),
        (ServeError("it does not answer"), 500, INTERNAL),
        (EventTooLarge("7 MB"), 413, TOO_LARGE),
    ],
)
def test_what_the_runtime_raises_is_the_gateways_own_reply(fault: Exception, status: int, body: object) -> None:
    def invoke(_: object) -> Any:
        raise fault

    reply = answer(HttpRequest("GET", "/"), invoke)

    assert (reply.status, json.loads(reply.body)) == (status, body)


JSON = (("content-type", "application/json"),)
TEXT = (("content-type", "text/plain; charset=utf-8"),)


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        ("Hello", Reply(200, JSON, b"Hello")),
        ({"message": "Hello"}, Reply(200, JSON, b'{"message": "Hello"}')),
        ([1, 2], Reply(200, JSON, b"[1, 2]")),
        (None, Reply(200, JSON, b"null")),
        ({"statusCode": 204}, Reply(204, TEXT, b"")),
        ({"statusCode": "201", "body": "é"}, Reply(201, TEXT, "é".encode())),
        ({"statusCode": 200, "body": "aGk=", "isBase64Encoded": True}, Reply(200, TEXT, b"hi")),
        (
            {"statusCode": 200, "headers": {"Content-Type": "a/b", "X": 1, "Content-Length": "9"}, "body": None},
            Reply(200, (("Content-Type", "a/b"), ("X", "1")), b""),
        ),
        (
            {"statusCode": 200, "cookies": ["a=1; Secure", "b=2"]},
            Reply(200, (*TEXT, ("set-cookie", "a=1; Secure"), ("set-cookie", "b=2")), b""),
        ),
    ],
)
def test_a_result_in_payload_format_2_is_a_reply(result: object, reply: Reply) -> None:
    assert to_reply(result) == reply


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "good"},
        {"statusCode": None},
        {"statusCode": True},
        {"statusCode": 20},
        {"statusCode": 200, "body": {"not": "a string"}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "cookies": "a=1"},
    ],
)
def test_a_result_that_breaks_the_format_is_a_500(result: object) -> None:
    assert to_reply(result) == Reply(500, JSON, json.dumps(INTERNAL).encode())


ToEvent = Callable[[HttpRequest], dict[str, Any]]
REQUEST = HttpRequest(
    "POST",
    "/a%20b/c?x=1&y=%26",
    (("Content-Type", "application/json"), ("X-Two", "1"), ("x-two", "2")),
    b"{}",
    time=1_756_807_700.412,
)


def test_an_http_api_decodes_the_path_and_the_others_do_not() -> None:
    assert http_api_event(REQUEST)["rawPath"] == "/a b/c"
    assert function_url_event(REQUEST)["rawPath"] == "/a%20b/c"
    assert rest_api_event(REQUEST)["path"] == "/a%20b/c"


def test_an_http_api_ends_the_path_at_an_encoded_question_mark() -> None:
    request = HttpRequest("GET", "/a%3Fx=1?y=2")
    assert (http_api_event(request)["rawPath"], http_api_event(request)["rawQueryString"]) == ("/a", "y=2")
    assert function_url_event(request)["rawPath"] == "/a%3Fx=1"


def test_payload_format_2_joins_repeated_headers_and_rest_keeps_them() -> None:
    rest: dict[str, Any] = rest_api_event(REQUEST)
    for event in (http_api_event(REQUEST), function_url_event(REQUEST)):
        assert event["headers"] == {"content-type": "application/json", "x-two": "1,2"}
    assert rest["multiValueHeaders"]["X-Two"] == ["1"]
    assert rest["headers"] == dict(REQUEST.headers)
    assert rest["multiValueQueryStringParameters"] == {"x": ["1"], "y": ["&"]}


def test_events_tell_the_time_twice() -> None:
    http_api: Any = http_api_event(REQUEST)["requestContext"]
    rest: Any = rest_api_event(REQUEST)["requestContext"]

    assert (http_api["time"], http_api["timeEpoch"]) == ("02/Sep/2025:10:08:20 +0000", 1756807700412)
    assert (rest["requestTime"], rest["requestTimeEpoch"]) == ("02/Sep/2025:10:08:20 +0000", 1756807700412)


def test_a_rest_api_tells_the_stage_beside_the_path() -> None:
    event: Any = rest_api_event(REQUEST, "live")

    assert event["requestContext"]["path"] == "/live/a%20b/c"
    assert event["requestContext"]["stage"] == "live"


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("application/json", False),
        ("Application/JSON; charset=utf-8", False),
        ("text/csv", False),
        ("text/csv; charset=utf-8", False),
        ("text/csv; charset=iso-8859-1", True),
        ("application/xml", False),
        ("application/javascript", False),
        ("application/vnd.api+json", True),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
        (None, True),
    ],
)
def test_payload_format_2_encodes_all_but_a_few_types(content_type: str | None, encoded: bool) -> None:
    headers = (("content-type", content_type),) if content_type else ()
    event = http_api_event(HttpRequest("POST", "/", headers, b"{}"))

    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (b64encode(b"{}").decode() if encoded else "{}")


def test_a_rest_api_encodes_by_its_binary_media_types() -> None:
    assert rest_api_event(REQUEST)["body"] == "e30="
    assert rest_api_event(REQUEST)["isBase64Encoded"] is True
    assert rest_api_event(REQUEST, binary=False)["body"] == "{}"
    assert rest_api_event(REQUEST, binary=False)["isBase64Encoded"] is False


@pytest.mark.parametrize("to_event", [http_api_event, function_url_event, rest_api_event])
def test_without_a_body_nothing_is_encoded(to_event: ToEvent) -> None:
    event = to_event(HttpRequest("GET", "/"))

    assert event["isBase64Encoded"] is False
    assert event.get("body") is None


@given(st.binary(min_size=1), st.sampled_from([http_api_event, function_url_event, rest_api_event]))
def test_an_encoded_body_is_the_bytes_that_came(body: bytes, to_event: ToEvent) -> None:
    event = to_event(HttpRequest("POST", "/", (("content-type", "application/octet-stream"),), body))

    assert b64decode(event["body"]) == body


@pytest.mark.parametrize("to_event", [http_api_event, function_url_event, rest_api_event])
def test_events_are_json(to_event: ToEvent, tmp_path: Path) -> None:
    assert json.loads(json.dumps(to_event(REQUEST))) == to_event(REQUEST)
