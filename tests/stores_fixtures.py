"""Fixtures: model stores, and the servers behind them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.fake_gcs import FakeGcs
from fakes.s3_server import S3Server
from gcp_storage_emulator.server import create_server

from pilotlight_cli.stores import Store, open_store
from pilotlight_cli.stores.s3 import S3Store

_BUCKETS = (f"models-{number}" for number in itertools.count(1))

SMALLEST_PART = 5 << 20  # what S3 takes


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """moto's S3 server. It serves whole sessions; `s3_store` has a bucket of its own in it."""
    with S3Server() as server:
        yield server


@pytest.fixture
def aws_environ(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment whose AWS clients reach `s3_server`, and no configuration of this machine."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_MAX_ATTEMPTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3_store(s3_server: S3Server, aws_environ: None) -> Iterator[S3Store]:  # noqa: ARG001 - boto3 reads it
    """A store in an empty bucket of moto's."""
    bucket = next(_BUCKETS)
    s3_server.make_bucket(bucket)
    store = open_store(f"s3://{bucket}/team/a b")
    assert isinstance(store, S3Store)
    yield replace(store, part_size=SMALLEST_PART)
    store.client.close()


@pytest.fixture
def fake_gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """A Cloud Storage with generations, preconditions and faults, and an empty bucket `models`."""
    with FakeGcs("models") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def gcs_store(fake_gcs: FakeGcs) -> Iterator[Store]:  # noqa: ARG001 - the client reads its address
    """A store in the bucket of `fake_gcs`."""
    yield from _gcs_store()


@pytest.fixture
def emulated_gcs_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in gcp-storage-emulator, which `pilotlight serve` embeds: it knows neither generations nor conditions."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="models")
    with server:
        host, port = server._api._httpd.server_address
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
        yield from _gcs_store()


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """A store in a folder that is not there yet, with a name that its URL has to encode."""
    return open_store(f"{(tmp_path / 'a store').as_uri()}/100%25")


def _gcs_store() -> Iterator[Store]:
    from pilotlight_cli.stores.gcs import GcsStore

    store = open_store("gs://models/team/a b")
    assert isinstance(store, GcsStore)
    yield store
    store.client.close()
