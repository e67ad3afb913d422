"""The store with S3's shape, asked by real clients."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from object_server import FIRST_BYTE, RATE
from object_store import ObjectStore, object_store

CONTENT = bytes(range(256)) * 40_000  # 10 MB


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    folder = tmp_path_factory.mktemp("store")
    (folder / "models/one/1").mkdir(parents=True)
    (folder / "models/one/1/model.onnx").write_bytes(CONTENT)
    (folder / "key").write_text("not for others")
    with object_store(folder / "models", folder) as found:
        yield found


@pytest.fixture
def connection(store: ObjectStore) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cafile=str(store.trusted))
    found = http.client.HTTPSConnection(store.url.removeprefix("https://"), context=context, timeout=60)
    yield found
    found.close()


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str, **fields: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def test_boto3_downloads_an_object(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environ().items():
        monkeypatch.setenv(name, value)
    before = store.requests()

    boto3.Session().client("s3").download_file("models", "one/1/model.onnx", str(tmp_path / "model.onnx"))

    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert store.requests() == before + 3  # HEAD, and two parts of 8 MB at most


def test_an_object_comes_whole_or_in_a_range(connection: http.client.HTTPSConnection) -> None:
    assert ask(connection, "GET", "/models/one/1/model.onnx")[::2] == (200, CONTENT)

    status, headers, body = ask(connection, "GET", "/models/one/1/model.onnx", range="bytes=5-9")
    assert (status, body) == (206, CONTENT[5:10])
    assert headers["Content-Range"] == f"bytes 5-9/{len(CONTENT)}"
    assert ask(connection, "GET", "/models/one/1/model.onnx", range=f"bytes={len(CONTENT) - 2}-")[2] == CONTENT[-2:]


def test_a_head_has_the_length_and_no_body(connection: http.client.HTTPSConnection) -> None:
    status, headers, body = ask(connection, "HEAD", "/models/one/1/model.onnx")

    assert (status, headers["Content-Length"], body) == (200, str(len(CONTENT)), b"")


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/models/one/2/model.onnx", {}, 404),
        ("/models/../../etc/passwd", {}, 404),
        ("/models/one/1/model.onnx", {"if_match": '"another"'}, 412),
        ("/models/one/1/model.onnx", {"range": "bytes=99999999-"}, 416),
    ],
)
def test_what_is_not_there_is_refused(
    connection: http.client.HTTPSConnection, path: str, fields: dict[str, str], status: int
) -> None:
    assert ask(connection, "GET", path, **fields)[0] == status


def test_the_etag_that_was_given_is_accepted(connection: http.client.HTTPSConnection) -> None:
    etag = ask(connection, "HEAD", "/models/one/1/model.onnx")[1]["ETag"]

    assert ask(connection, "GET", "/models/one/1/model.onnx", if_match=etag, range="bytes=0-0")[0] == 206


def test_the_limit_of_a_connection_holds_over_its_requests(connection: http.client.HTTPSConnection) -> None:
    began = time.monotonic()

    for _ in range(3):
        ask(connection, "GET", "/models/one/1/model.onnx")

    assert time.monotonic() - began > 3 * FIRST_BYTE + 2 * len(CONTENT) / RATE
