"""TLS between the function and S3: always verified, and boto3 asked where a certificate is unknown."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles import CONTENT, fetched
from fakes.fake_s3 import FakeS3
from pilotlight.errors import StoreError
from pilotlight.fetch import UseSdk
from pilotlight.fetch.download import Partial
from pilotlight.model.lock import File
from s3_store import S3Store
from servers import certificates


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def s3(tls: tuple[ssl.SSLContext, Path]) -> Iterator[FakeS3]:
    with FakeS3(tls[0]) as fake:
        fake.put("example/3/model.onnx", CONTENT)
        yield fake


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_of_somebodys_choice_is_the_one_that_counts(
    name: str, s3: FakeS3, tls: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    store = S3Store("s3://models", {**s3.environ(), name: str(tls[1])})
    assert fetched(store, tmp_path) == CONTENT


def test_a_store_whose_certificate_is_not_trusted_gets_no_request(s3: FakeS3, tmp_path: Path) -> None:
    partial = Partial(tmp_path, File("model.onnx", len(CONTENT), ""))
    with pytest.raises(UseSdk, match="certificate verify failed"):
        S3Store("s3://models", s3.environ()).fetch("example/3/model.onnx", partial.begin(lambda: None), 60.0)
    assert s3.ranges == []


def test_a_bundle_that_is_not_there_is_named_and_no_passing_fault(s3: FakeS3, tmp_path: Path) -> None:
    bundle = tmp_path / "none.pem"
    store = S3Store("s3://models", {**s3.environ(), "AWS_CA_BUNDLE": str(bundle)})
    with pytest.raises(
        StoreError, match=rf"s3://models/example/3/model.onnx: cannot read certificates from {bundle}"
    ) as caught:
        fetched(store, tmp_path / "model")
    assert type(caught.value) is StoreError
    assert s3.ranges == []
