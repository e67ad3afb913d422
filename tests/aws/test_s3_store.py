"""The function's S3 store against moto's S3 server."""

from __future__ import annotations

import io
import itertools
import socket

import pytest

from fakes.s3_server import S3Server
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from s3_store import S3Store

_NUMBERS = itertools.count(1)
CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def bucket(s3_server: S3Server, aws_environ: None) -> str:
    """A bucket with a model below the prefix `team`."""
    name = f"function-{next(_NUMBERS)}"
    s3_server.make_bucket(name)
    s3_server.put(name, "team/example/3/model.onnx", CONTENT)
    return name


def fetch(url: str, key: str = "example/3/model.onnx") -> bytes:
    sink = io.BytesIO()
    S3Store(url).fetch(key, sink, 5.0)
    return sink.getvalue()


def test_an_object_below_the_prefix_comes_through_byte_for_byte(bucket: str) -> None:
    assert fetch(f"s3://{bucket}/team") == CONTENT


def test_a_missing_object_is_refused_with_both_possible_causes(bucket: str) -> None:
    with pytest.raises(ObjectRefused, match=rf"s3://{bucket}/other/example/3/model.onnx: .*NoSuchKey.*may not read it"):
        fetch(f"s3://{bucket}/other")


def test_a_missing_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ObjectRefused, match="NoSuchBucket"):
        fetch("s3://nowhere/team")


def test_a_bucket_that_cannot_be_one_is_wrong_for_good(bucket: str) -> None:
    with pytest.raises(StoreError) as caught:
        fetch("s3://Bad_Bucket!")
    assert type(caught.value) is StoreError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("503 Slow Down", "SlowDown", StoreUnavailable),
        ("500 Internal Server Error", "InternalError", StoreUnavailable),
        ("429 Too Many Requests", "TooManyRequests", StoreUnavailable),
        ("408 Request Timeout", "Slow", StoreUnavailable),
        ("400 Bad Request", "RequestTimeout", StoreUnavailable),
        ("400 Bad Request", "ExpiredToken", StoreUnavailable),
        ("403 Forbidden", "ExpiredTokenException", StoreUnavailable),
        ("400 Bad Request", "KMS.ThrottlingException", StoreUnavailable),
        ("403 Forbidden", "AccessDenied", ObjectRefused),
        ("400 Bad Request", "KMS.DisabledException", StoreError),
        ("400 Bad Request", "AuthorizationHeaderMalformed", StoreError),
        ("412 Precondition Failed", "PreconditionFailed", StoreError),
    ],
)
def test_what_may_pass_is_told_apart_from_what_will_not(
    status: str, code: str, kind: type[StoreError], bucket: str, s3_server: S3Server
) -> None:
    s3_server.fail(status, code, of=bucket)
    with pytest.raises(StoreError, match=f"s3://{bucket}/team/example/3/model.onnx") as caught:
        fetch(f"s3://{bucket}/team")
    assert type(caught.value) is kind


def test_a_store_that_cannot_be_reached_may_come_back(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match=f"s3://{bucket}/team/example/3/model.onnx"):
            fetch(f"s3://{bucket}/team")
