"""Fixtures: a broker, the sample's model, and the staged consumer of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness import Pinned, prepared, sample
from kafka_broker import Broker, broker
from kafka_scenes import Scene
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.stores import EmbeddedStore
from stores_fixtures import aws_environ, fake_gcs, gcs_store, opened_s3_store, s3_server, s3_store

__all__ = ["aws_environ", "fake_gcs", "gcs_store", "opened_s3_store", "s3_server", "s3_store"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def staged(model: Pinned) -> Iterator[Function]:
    with prepared("container", model, EmbeddedStore(model.store.url, {}), {}, "kafka") as function:
        yield function


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    with broker() as found:
        yield found


@pytest.fixture
def scenes(kafka: Broker) -> Iterator[Callable[..., Scene]]:
    with ExitStack() as stack:
        yield lambda partitions=4: Scene(kafka, stack, partitions)
