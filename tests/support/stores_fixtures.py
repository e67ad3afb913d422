"""Fixtures: model stores, and the servers behind them. Each fixture imports its own libraries."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pilotlight_cli.stores import Store, open_store

if TYPE_CHECKING:
    from fakes.s3_server import S3Server
    from pilotlight_cli.stores.s3 import S3Store
    from servers.fake_gcs import FakeGcs

_BUCKETS = (f"stores-{number}" for number in itertools.count(1))

SMALLEST_PART = 5 << 20  # S3's own limit


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give moto's S3 server, one for the session; `s3_store` has a bucket of its own in it."""
    from fakes.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def aws_environ(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an environment whose AWS clients reach `s3_server`, and no configuration of this machine."""
    _reach_s3_server(s3_server, monkeypatch)


@pytest.fixture(scope="session")
def opened_s3_store(s3_server: S3Server) -> S3Store:
    """Give a store whose client serves all tests, because boto3 takes longer to make one than most of them."""
    from pilotlight_cli.stores.s3 import S3Store

    with pytest.MonkeyPatch.context() as patch:
        _reach_s3_server(s3_server, patch)
        store = open_store("s3://models/team/a b")
    assert isinstance(store, S3Store)
    return store


@pytest.fixture
def s3_store(s3_server: S3Server, opened_s3_store: S3Store, aws_environ: None) -> S3Store:
    """Give a store in an empty bucket of moto's."""
    bucket = next(_BUCKETS)
    s3_server.make_bucket(bucket)
    return replace(opened_s3_store, url=f"s3://{bucket}/team/a b", bucket=bucket, part_size=SMALLEST_PART)


@pytest.fixture
def patient_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no answer so late, on a machine that stalls, that a fetch requests it again."""
    monkeypatch.setattr("pilotlight.fetch._MAX_WAIT", 60.0)


@pytest.fixture
def fake_gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """Give a Cloud Storage with generations, preconditions and faults, and an empty bucket `models`."""
    from servers.fake_gcs import FakeGcs

    with FakeGcs("models") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def gcs_store(fake_gcs: FakeGcs) -> Store:
    """Give a store in the bucket of `fake_gcs`."""
    return open_store("gs://models/team/a b")


@pytest.fixture
def emulated_gcs_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Give a store in gcp-storage-emulator, as `pilotlight serve` embeds it, without generations and conditions."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="models")
    with server:
        host, port = server._api._httpd.server_address
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
        yield open_store("gs://models/team/a b")


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """Give a store in a folder that does not exist yet, with a name that its URL has to encode."""
    return open_store(f"{(tmp_path / 'a store').as_uri()}/100%25")


def _reach_s3_server(server: S3Server, patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
