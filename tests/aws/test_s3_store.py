"""The function's S3 store, by both its ways, against moto's S3 server."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doubles import fetched
from fakes.s3_server import S3Server
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.assets import FUNCTIONS
from s3_store import S3Store

_NUMBERS = itertools.count(1)
CONTENT = bytes(range(256)) * 9000
LARGE = CONTENT * 8  # which comes in ranges

Fetch = Callable[[str], bytes]


@pytest.fixture
def bucket(s3_server: S3Server, aws_environ: None) -> str:
    """Return a bucket with a model below the prefix `team`."""
    name = f"function-{next(_NUMBERS)}"
    s3_server.make_bucket(name)
    s3_server.put(name, "team/example/3/model.onnx", CONTENT)
    s3_server.requests.clear()
    return name


class Warnings(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def warned() -> Warnings:
    return Warnings()


@pytest.fixture
def plainly(tmp_path: Path, warned: Warnings) -> Fetch:
    return lambda url: fetched(S3Store(url, warn=warned), tmp_path, CONTENT)


@pytest.fixture(params=["plain", "boto3"])
def fetch(request: pytest.FixtureRequest, tmp_path: Path, warned: Warnings) -> Fetch:
    """Return a fetch by either way: a setting that only boto3 supports makes the store use it."""
    more = {"AWS_DATA_PATH": "/nowhere"} if request.param == "boto3" else {}
    return lambda url: fetched(S3Store(url, {**os.environ, **more}, warn=warned), tmp_path, CONTENT)


def test_an_object_below_the_prefix_comes_through_byte_for_byte(bucket: str, fetch: Fetch) -> None:
    assert fetch(f"s3://{bucket}/team") == CONTENT


def test_a_large_object_comes_in_ranges(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    s3_server.put(bucket, "team/example/3/model.onnx", LARGE)
    assert fetched(S3Store(f"s3://{bucket}/team"), tmp_path, LARGE) == LARGE
    assert s3_server.requests == [f"GET /{bucket}/team/example/3/model.onnx?"] * 5


def test_a_missing_object_is_refused_with_both_possible_causes(bucket: str, fetch: Fetch) -> None:
    with pytest.raises(ObjectRefused, match=rf"s3://{bucket}/other/example/3/model.onnx: .*NoSuchKey.*may not read it"):
        fetch(f"s3://{bucket}/other")


def test_a_missing_bucket_is_refused(bucket: str, fetch: Fetch) -> None:
    with pytest.raises(ObjectRefused, match="NoSuchBucket"):
        fetch("s3://nowhere/team")


def test_a_bucket_that_cannot_be_one_is_wrong_for_good(bucket: str, fetch: Fetch) -> None:
    with pytest.raises(StoreError) as caught:
        fetch("s3://Bad_Bucket!")
    assert type(caught.value) is StoreError


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("503 Slow Down/SlowDown", StoreUnavailable),
        ("500 Internal Server Error/InternalError", StoreUnavailable),
        ("429 Too Many Requests/TooManyRequests", StoreUnavailable),
        ("408 Request Timeout/Slow", StoreUnavailable),
        ("400 Bad Request/RequestTimeout", StoreUnavailable),
        ("400 Bad Request/ExpiredToken", StoreUnavailable),
        ("403 Forbidden/ExpiredTokenException", StoreUnavailable),
        ("400 Bad Request/KMS.ThrottlingException", StoreUnavailable),
        ("403 Forbidden/AccessDenied", ObjectRefused),
        ("403 Forbidden/SignatureDoesNotMatch", ObjectRefused),
        ("400 Bad Request/KMS.DisabledException", StoreError),
        ("400 Bad Request/AuthorizationHeaderMalformed", StoreError),
        ("412 Precondition Failed/PreconditionFailed", StoreError),
    ],
)
def test_what_may_pass_is_told_apart_from_what_will_not(
    fault: str, kind: type[StoreError], bucket: str, s3_server: S3Server, fetch: Fetch
) -> None:
    status, code = fault.split("/")
    s3_server.fail(status, code, times=2, of=bucket)
    with pytest.raises(StoreError, match=f"s3://{bucket}/team/example/3/model.onnx") as caught:
        fetch(f"s3://{bucket}/team")
    assert type(caught.value) is kind
    s3_server.forgive()


@pytest.mark.parametrize("code", ["KMS.DisabledException", "SignatureDoesNotMatch", "InvalidRequest"])
def test_what_plain_requests_cannot_handle_is_left_to_boto3_and_told(
    code: str, bucket: str, s3_server: S3Server, plainly: Fetch, warned: Warnings
) -> None:
    s3_server.fail("400 Bad Request" if code[0] != "S" else "403 Forbidden", code, of=bucket)
    assert plainly(f"s3://{bucket}/team") == CONTENT
    assert len(warned) == 1
    assert f"{code}: injected; trying boto3 instead" in warned[0]


def test_a_store_that_cannot_be_reached_may_come_back(
    bucket: str, closed_port: int, monkeypatch: pytest.MonkeyPatch, fetch: Fetch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(StoreUnavailable, match=f"s3://{bucket}/team/example/3/model.onnx"):
        fetch(f"s3://{bucket}/team")


PROGRAM = """
import sys
from pathlib import Path
from pilotlight.fetch.download import Partial
from pilotlight.model.lock import File
from s3_store import S3Store
partial = Partial(Path(sys.argv[2]), File("model.onnx", int(sys.argv[3]), ""))
S3Store(sys.argv[1]).fetch("example/3/model.onnx", partial.begin(lambda: None), 60.0)
assert not partial.missing
print(sorted(set(sys.modules) & {"boto3", "botocore", "urllib3", "http.client", "email", "urllib.request", "datetime"}))
"""


def test_a_good_fetch_is_one_request_and_needs_no_sdk(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    path = os.pathsep.join(map(str, (FUNCTIONS / "aws/predict", FUNCTIONS.parent / "shared")))
    command = [sys.executable, "-c", PROGRAM, f"s3://{bucket}/team", str(tmp_path), str(len(CONTENT))]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert s3_server.requests == [f"GET /{bucket}/team/example/3/model.onnx?"]
