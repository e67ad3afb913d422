"""s3:// under faults, with boto3 and moto's S3 server."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import botocore.endpoint
import pytest

from doubles import StepClock
from fakes.s3_server import S3Server
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.local.function import passed_on
from pilotlight_cli.stores import OWNER_VARIABLE, AlreadyExists, StoreUrlError, open_store
from pilotlight_cli.stores.s3 import S3Store, open_s3

LARGE = 12_345_678


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(LARGE))
    return file


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StepClock:
    """Return the clock by which boto3 waits before it tries again."""
    clock = StepClock()
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


def nothing(_: int) -> None:
    """No progress wanted."""


def open_uploads(store: S3Store) -> list[str]:
    found = store.client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])
    return [upload["Key"] for upload in found]


def test_boto3_still_takes_no_condition_for_an_upload_in_parts(s3_store: S3Store, large: Path) -> None:
    with pytest.raises(ValueError, match="Invalid extra_args key 'IfNoneMatch'"):
        s3_store.client.upload_file(str(large), s3_store.bucket, "key", ExtraArgs={"IfNoneMatch": "*"})


def test_an_object_carries_its_sha256(s3_store: S3Store) -> None:
    s3_store.create("iris/1/golden.json", b"{}")

    found = s3_store.client.head_object(
        Bucket=s3_store.bucket, Key="team/a b/iris/1/golden.json", ChecksumMode="ENABLED"
    )
    assert base64.b64decode(found["ChecksumSHA256"]) == hashlib.sha256(b"{}").digest()


def test_a_large_file_goes_in_parts_with_a_condition(s3_store: S3Store, s3_server: S3Server, large: Path) -> None:
    before = len(s3_server.requests)

    s3_store.create_from("iris/1/model.bin", large, nothing)

    asked = s3_server.requests[before:]
    assert len([request for request in asked if "partNumber=" in request]) == 3
    with pytest.raises(AlreadyExists):
        s3_store.create_from("iris/1/model.bin", large, nothing)
    assert open_uploads(s3_store) == []


def test_an_upload_with_a_refused_part_leaves_nothing(s3_store: S3Store, s3_server: S3Server, large: Path) -> None:
    s3_server.fail("403 Forbidden", "AccessDenied", of="partNumber=2")

    with pytest.raises(ObjectRefused, match="s3:PutObject"):
        s3_store.create_from("iris/1/model.bin", large, nothing)
    assert list(s3_store.keys("")) == []
    assert open_uploads(s3_store) == []


def test_an_upload_that_its_caller_ends_leaves_no_parts(s3_store: S3Store, large: Path) -> None:
    def end(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        s3_store.create_from("iris/1/model.bin", large, end)
    assert open_uploads(s3_store) == []


def test_a_create_whose_answer_was_lost_has_worked(s3_store: S3Store, s3_server: S3Server, large: Path) -> None:
    s3_server.fail("500 Internal Server Error", "InternalError", of="PUT ", carried_out=True)
    s3_store.create("iris/1/golden.json", b"{}")

    s3_server.fail("500 Internal Server Error", "InternalError", of="POST ", carried_out=True)
    s3_store.create_from("iris/1/model.bin", large, nothing)

    assert list(s3_store.keys("")) == ["iris/1/golden.json", "iris/1/model.bin"]


def test_a_create_that_another_won_while_it_tried_again_has_not(s3_store: S3Store, s3_server: S3Server) -> None:
    s3_store.create("iris/1/golden.json", b"{}")
    s3_server.fail("503 Slow Down", "SlowDown", of="PUT ")

    with pytest.raises(AlreadyExists):
        s3_store.create("iris/1/golden.json", b"{}")


def test_a_conflict_between_conditional_writes_is_lost(s3_store: S3Store, s3_server: S3Server) -> None:
    s3_server.fail("409 Conflict", "ConditionalRequestConflict")

    with pytest.raises(AlreadyExists):
        s3_store.create("iris/1/golden.json", b"{}")


def test_more_than_a_page_of_keys_are_all_listed(s3_store: S3Store, s3_server: S3Server) -> None:
    keys = [f"m/{number:04}/manifest.json" for number in range(1001)]
    for key in keys:
        s3_server.put(s3_store.bucket, f"{s3_store.prefix}{key}", b"")
    before = len(s3_server.requests)

    assert list(s3_store.keys("m/")) == keys
    assert len(s3_server.requests) - before == 2


def test_what_a_console_shows_as_a_folder_is_no_key(s3_store: S3Store) -> None:
    s3_store.client.put_object(Bucket=s3_store.bucket, Key=s3_store.prefix, Body=b"")
    s3_store.client.put_object(Bucket=s3_store.bucket, Key=f"{s3_store.prefix}iris/", Body=b"")
    s3_store.create("iris/1/a", b"x")

    assert list(s3_store.keys("")) == ["iris/1/a"]


def test_a_missing_bucket_is_named(s3_store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    store = open_store("s3://nowhere/team")
    says = "no bucket 'nowhere'"

    with pytest.raises(ObjectRefused, match=f"^s3://nowhere/team: {says}"):
        list(store.keys(""))
    with pytest.raises(ObjectRefused, match=f"^s3://nowhere/team/a: {says}"):
        store.read("a")
    with pytest.raises(ObjectRefused, match=says):
        store.create("a", b"x")
    with pytest.raises(ObjectRefused, match="the bucket 'nowhere' does not exist"):
        store.download("a", tmp_path / "a", nothing)


def test_a_refusal_names_the_missing_permission(s3_store: S3Store, s3_server: S3Server) -> None:
    s3_server.fail("403 Forbidden", "AccessDenied", times=3)

    with pytest.raises(ObjectRefused, match=r"a b/k was refused \(403 AccessDenied\).* credentials lack s3:GetObject"):
        s3_store.read("k")
    with pytest.raises(ObjectRefused, match="credentials lack s3:PutObject"):
        s3_store.replace("k", b"x")
    with pytest.raises(ObjectRefused, match="credentials lack s3:ListBucket"):
        list(s3_store.keys(""))


def test_a_fault_that_passes_is_tried_again(s3_store: S3Store, s3_server: S3Server) -> None:
    s3_store.create("k", b"x")
    s3_server.fail("503 Slow Down", "SlowDown")

    assert s3_store.read("k") == b"x"


def test_a_fault_that_stays_is_unavailable(s3_store: S3Store, s3_server: S3Server, tmp_path: Path) -> None:
    s3_store.create("k", b"x")

    s3_server.fail("503 Slow Down", "SlowDown", times=3)
    with pytest.raises(StoreUnavailable, match=f"/k: {s3_server.url} responded with 503 SlowDown; try again later"):
        s3_store.read("k")
    s3_server.fail("500 Internal Server Error", "InternalError", times=3)
    with pytest.raises(StoreUnavailable):
        s3_store.download("k", tmp_path / "k", nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_leaves_the_old_file(s3_store: S3Store, s3_server: S3Server, tmp_path: Path) -> None:
    s3_store.create("k", b"new")
    (tmp_path / "copy").write_bytes(b"old")
    s3_server.fail("403 Forbidden", "AccessDenied", of="GET ")

    with pytest.raises(ObjectRefused, match="AccessDenied"):
        s3_store.download("k", tmp_path / "copy", nothing)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_request_that_s3_does_not_take_is_told_in_its_words(s3_store: S3Store, s3_server: S3Server) -> None:
    s3_server.fail("400 Bad Request", "ExpiredToken")

    with pytest.raises(StoreError, match=r"a b/k: .*ExpiredToken.*injected") as caught:
        s3_store.read("k")
    assert type(caught.value) is StoreError


def test_a_closed_port_fails_within_seconds(
    aws_environ: None, monkeypatch: pytest.MonkeyPatch, closed_port: int, clock: StepClock
) -> None:
    endpoint = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    started = clock.now

    with pytest.raises(StoreUnavailable, match=f"^s3://models/a/k: no response from {endpoint} .*Could not connect"):
        open_store("s3://models/a").read("k")
    assert 0 < clock.now - started < 60


def test_without_credentials_it_says_how_to_sign_in(aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StoreError, match=r"^s3://models/k: no AWS credentials .*; sign in with 'aws sso login', or"):
        open_store("s3://models").read("k")


def test_an_unknown_profile_is_named(aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")

    with pytest.raises(StoreError, match=r"^s3://models: .*\(work\) could not be found; sign in"):
        open_store("s3://models")


def test_a_malformed_endpoint_is_named(aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "127.0.0.1:9000")

    with pytest.raises(StoreUrlError, match=r"127.0.0.1:9000.*AWS_ENDPOINT_URL_S3"):
        open_store("s3://models")


@pytest.mark.parametrize(
    ("bucket", "setting", "owner"),
    [
        ("pilotlight-models-123456789012-us-west-2", "", "123456789012"),
        ("pilotlight-models-123456789012-us-west-2", "210987654321", "123456789012"),
        ("of-a-team", "210987654321", "210987654321"),
        ("of-a-team", "", None),
    ],
)
def test_every_request_names_the_account_that_must_own_the_bucket(
    bucket: str,
    setting: str,
    owner: str | None,
    *,
    s3_server: S3Server,
    aws_environ: None,
    large: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody can take a name that is easy to guess, and would get our models, or give us theirs."""
    monkeypatch.setenv(OWNER_VARIABLE, setting)
    assert OWNER_VARIABLE not in passed_on(os.environ)  # which would refuse it as an unknown setting
    s3_server.make_bucket(bucket)
    store = replace(open_s3(f"s3://{bucket}/{setting or 'any'}"), part_size=5 << 20)
    sent: list[str | None] = []
    store.client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(_text(request.headers.get("x-amz-expected-bucket-owner")))
    )
    store.create("small", b"1")
    store.create_from("large", large, nothing)
    assert store.read("small") == b"1"
    store.download("large", large, nothing)
    store.replace("small", b"2")
    store.modified("small")
    assert list(store.keys("")) == ["large", "small"]
    store.delete("small")
    store.delete("large")
    assert len(sent) > 8
    assert set(sent) == {owner}


def _text(header: bytes | str | None) -> str | None:
    return header.decode() if isinstance(header, bytes) else header
