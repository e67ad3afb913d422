"""The function's S3 store against moto's S3 server, with access control where it decides."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pilotlight.errors import ObjectRefused, StoreUnavailable
from s3_store import S3Store

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="team/example/3/model.onnx", Body=CONTENT)
    yield client
    client.close()
    server.stop()


def fetch(url: str, key: str = "example/3/model.onnx") -> bytes:
    sink = io.BytesIO()
    S3Store(url).fetch(key, sink, 5.0)
    return sink.getvalue()


def test_an_object_below_the_prefix_comes_through_byte_for_byte(s3: Any) -> None:
    assert fetch("s3://models/team") == CONTENT


def test_a_missing_object_is_refused_with_both_possible_causes(s3: Any) -> None:
    with pytest.raises(ObjectRefused, match=r"s3://models/other/example/3/model.onnx: .*NoSuchKey.*may not read it"):
        fetch("s3://models/other")


def test_a_missing_bucket_is_refused(s3: Any) -> None:
    with pytest.raises(ObjectRefused, match="NoSuchBucket"):
        fetch("s3://nowhere/team")


def test_a_store_that_cannot_be_reached_may_come_back(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match="s3://models/team/example/3/model.onnx"):
            fetch("s3://models/team")
