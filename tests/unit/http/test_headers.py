"""Request ids, compressed bodies and cross-origin calls, on any route."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from doubles import FEATURES, Records, service
from pilotlight.http.compression import accepts_gzip
from pilotlight.http.headers import LONGEST_ID, SHORTEST_COMPRESSED
from pilotlight.http.messages import Request, Response
from pilotlight.service import Service
from unit.protocols.test_v2 import by_sum

BODY = json.dumps({"features": [1, 2, 4]}).encode()
ORIGINS = ("https://one.example", "https://two.example")


def packed(content: bytes) -> bytes:
    """Compress to the same bytes each time, since test names contain them."""
    return gzip.compress(content, mtime=0)


def predict(served: Service, body: bytes = BODY, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.handle(Request("POST", "/predict", {"content-type": "application/json"} | named, body))


def batch(served: Service, rows: int, accepted: str) -> Response:
    body = json.dumps({"instances": [[1, 2, 4]] * rows}).encode()
    return served.handle(Request("POST", "/predict_batch", {"accept-encoding": accepted}, body))


def refused(response: Response, status: int) -> Any:
    document = json.loads(response.body)
    assert response.status == status, document
    return document["error"]


@pytest.fixture
def served() -> Service:
    return service(FEATURES, by_sum)


@pytest.mark.parametrize("given", ["a", "7b0f6c1e-4b1c-4c8e-9a55-000000000000", 'a,b;c="d"', "x" * LONGEST_ID])
def test_a_callers_request_id_is_taken(served: Service, given: str) -> None:
    assert predict(served, x_request_id=given).headers["x-request-id"] == given
    wrong = predict(served, b"", x_request_id=given)
    assert json.loads(wrong.body)["request_id"] == wrong.headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a\tb", "a\r\nset-cookie: b", "\N{SNOWMAN}", "\x7f", "x" * (LONGEST_ID + 1)]
)
def test_a_request_id_that_no_header_could_hold_is_replaced(served: Service, given: str) -> None:
    found = predict(served, x_request_id=given).headers["x-request-id"]
    assert len(found) == 32
    assert found.isalnum()


def test_the_platforms_own_id_stays_in_the_log() -> None:
    records = Records()
    served = service(FEATURES, by_sum, records=records)
    served.handle(Request("GET", "/health", {"x-request-id": "mine"}, id="the platform's", trace={"trace": "t"}))
    served.handle(Request("GET", "/health", id="the platform's"))
    mine, theirs = records.served
    assert (mine.request_id, mine.trace) == ("mine", {"trace": "t", "platform_request_id": "the platform's"})
    assert (theirs.request_id, theirs.trace) == ("the platform's", {})


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", packed(BODY)),
        ("x-gzip", packed(BODY)),
        ("GZip", packed(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
    ],
)
def test_a_compressed_body_is_read(served: Service, encoding: str, body: bytes) -> None:
    assert json.loads(predict(served, body, content_encoding=encoding).body)["prediction"] == "large"


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, deflate", "*", "\N{SNOWMAN}"])
def test_another_encoding_is_a_415_that_names_those_that_are_taken(served: Service, encoding: str) -> None:
    assert "expected gzip or deflate" in refused(predict(served, content_encoding=encoding), 415)


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", BODY, "the body is not gzip"),
        ("gzip", zlib.compress(BODY), "the body is not gzip"),
        ("deflate", packed(BODY), "the body is not deflate"),
        ("gzip", b"", "the gzip body is truncated"),
        ("gzip", packed(BODY)[:-1], "the gzip body is truncated"),
        ("gzip", packed(BODY)[:-8] + bytes(8), "the body is not gzip"),
        ("gzip", packed(BODY) + b"more", "found 4 bytes after the end of the gzip body"),
        ("gzip", packed(BODY) * 2, "bytes after the end of the gzip body"),
        ("gzip", packed(packed(BODY)), "the body is not UTF-8"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_a_400(served: Service, encoding: str, body: bytes, message: str) -> None:
    assert message in refused(predict(served, body, content_encoding=encoding), 400)


@pytest.mark.parametrize("size", [5_000_000, 500_000_000])
def test_a_body_that_expands_too_far_is_a_413_before_it_has_expanded(served: Service, size: int) -> None:
    stream = zlib.compressobj(9)
    bomb = b"".join(stream.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)) + stream.flush()
    assert "the decompressed body exceeds the limit of 4500000 bytes" in refused(
        predict(served, bomb, content_encoding="deflate"), 413
    )


def test_a_body_may_expand_to_the_limit_and_no_further() -> None:
    limited = service(FEATURES, by_sum, max_body_bytes=200)
    padded = BODY + b" " * (200 - len(BODY))
    assert predict(limited, packed(padded), content_encoding="gzip").status == 200
    refused(predict(limited, packed(padded + b" "), content_encoding="gzip"), 413)


def test_a_long_reply_is_compressed_for_who_asks(served: Service) -> None:
    plain, packed = batch(served, 1000, "identity"), batch(served, 1000, "gzip, deflate, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"


def test_a_short_reply_is_not_compressed(served: Service) -> None:
    response = batch(served, 10, "gzip")
    assert len(response.body) < SHORTEST_COMPRESSED
    assert not {"content-encoding", "vary"} & response.headers.keys()


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True),
        ("GZIP;Q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("gzip;q=1.000", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=nan", False),
        ("gzip;q=-1", False),
        ("gzip;q=much", False),
        ("gzip;q=\N{SUPERSCRIPT TWO}", False),
        (";,;q=,", False),
    ],
)
def test_gzip_is_taken_where_it_is_wanted_most(accepted: str, taken: bool) -> None:
    assert accepts_gzip(accepted) is taken


def at_origins(*origins: str) -> Service:
    return service(FEATURES, by_sum, cors_origins=origins)


def cross(headers: dict[str, str] | Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control") or name == "vary"}


def test_without_the_setting_there_is_no_word_of_other_origins(served: Service) -> None:
    assert not cross(predict(served, origin=ORIGINS[0]).headers)


def test_a_page_of_a_named_origin_may_read_replies_and_errors() -> None:
    allowed = {
        "access-control-allow-origin": "https://two.example",
        "access-control-expose-headers": (
            "inference-header-content-length, retry-after, x-pilotlight-variant, x-request-id"
        ),
        "vary": "origin",
    }
    for body in (BODY, b""):
        assert cross(predict(at_origins(*ORIGINS), body, origin="https://two.example").headers) == allowed
    for origin in ("https://three.example", "null", "https://one.example.evil"):
        assert cross(predict(at_origins(*ORIGINS), origin=origin).headers) == {"vary": "origin"}


def test_everybody_may_read_where_the_setting_says_so() -> None:
    found = cross(predict(at_origins("*"), origin="https://three.example").headers)
    assert found["access-control-allow-origin"] == "*"
    assert "vary" not in found


def test_a_preflight_request_is_told_methods_and_headers() -> None:
    asked = {"origin": ORIGINS[0], "access-control-request-method": "POST"}
    response = at_origins(*ORIGINS).handle(Request("OPTIONS", "/v2/models/example/infer", asked))
    assert response.status == 204
    assert response.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert "inference-header-content-length" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "600"


def test_a_compressed_reply_to_another_origin_varies_with_both() -> None:
    body = json.dumps({"instances": [[1, 2, 4]] * 1000}).encode()
    headers = {"accept-encoding": "gzip", "origin": ORIGINS[0]}
    response = at_origins(*ORIGINS).handle(Request("POST", "/predict_batch", headers, body))
    assert response.headers["vary"] == "accept-encoding, origin"
