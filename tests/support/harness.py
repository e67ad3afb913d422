"""Whole functions: a model that is really published and pinned, in each cloud's real runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import requests

from pilotlight.model.lock import Description, load_lock
from pilotlight_cli.local.container_runtime import container_runtime
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.functions_runtime import FunctionsRuntime, functions_runtime
from pilotlight_cli.local.lambda_runtime import LambdaRuntime, lambda_runtime
from pilotlight_cli.local.server import prepare
from pilotlight_cli.local.stores import EmbeddedStore, acting_in, embedded_store
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.registry.publish import copy, publish
from pilotlight_cli.sandbox.inspection import inspect
from pilotlight_cli.stores import Store, open_store
from repository import LOCK


@dataclass(frozen=True)
class Pinned:
    """A published and pinned model: its lock, and the folder store that has it."""

    lock: Path
    store: Store

    @property
    def model(self) -> Description:
        """The model as the lock describes it."""
        return load_lock(self.lock).model


def pinned(
    artifact: Path,
    name: str,
    folder: Path,
    *,
    signature: Path | None = None,
    golden: Path | None = None,
    allow: Sequence[str] = (),
    alias: str | None = None,
    lock: str = "first",
    engine: str | None = None,
) -> Pinned:
    """Publish an artifact to a store in `folder`, and pin it in a folder of its own, as the command does."""
    store = open_store((folder / "store").as_uri())
    inspection = inspect(
        artifact,
        format=None,
        signature=signature.read_bytes() if signature else None,
        golden=golden.read_bytes() if golden else None,
        allow=allow,
    )
    publish(store, inspection, name, alias=alias, clock=lambda: datetime.now(UTC), progress=lambda _: None)
    path = folder / name / lock / "model.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    pin(store, f"{name}@{alias}" if alias else name, path, engine=engine)
    return Pinned(path, store)


def on_engine(model: Pinned, engine: str) -> Pinned:
    """Pin the same version for another engine, in a folder of its own."""
    path = model.lock.parent.with_name(engine) / "model.lock"
    path.parent.mkdir()
    pin(model.store, f"{model.model.name}:{model.model.version}", path, engine=engine)
    return Pinned(path, model.store)


def sample(folder: Path) -> Pinned:
    """Return the repository's own lock, and fill a store in `folder` with what it pins."""
    store = open_store(folder.as_uri())
    ensure_published(LOCK, store)
    return Pinned(LOCK, store)


@contextmanager
def stored(cloud: str, *models: Pinned) -> Iterator[EmbeddedStore]:
    """Run an object store of the cloud's own kind that has those models."""
    with embedded_store(cloud) as embedded:
        with acting_in(embedded.environ):
            target = open_store(embedded.url)
            for model in models:
                copy(model.store, target, model.model.name, model.model.version, lambda _: None)
        yield embedded


@contextmanager
def in_lambda(model: Pinned, store: EmbeddedStore, **settings: str) -> Iterator[LambdaRuntime]:
    """Run the function in AWS's runtime; it starts with the first event."""
    with prepared("aws", model, store, settings) as function, lambda_runtime(function) as runtime:
        yield runtime


@contextmanager
def records_in_lambda(
    model: Pinned, store: EmbeddedStore, results: str, timeout: int = 30, **settings: str
) -> Iterator[LambdaRuntime]:
    """Run the function for records in AWS's runtime; it starts with the first event. The store's server has queues."""
    settings |= {"PILOTLIGHT_RESULTS": results, "AWS_ENDPOINT_URL": store.environ["AWS_ENDPOINT_URL_S3"]}
    with (
        prepared("aws", model, store, settings, "records") as function,
        lambda_runtime(function, "records_handler.lambda_handler", timeout) as runtime,
    ):
        yield runtime


@contextmanager
def batch_in_lambda(model: Pinned, store: EmbeddedStore) -> Iterator[LambdaRuntime]:
    """Run the function for whole buckets in AWS's runtime; it starts with the first event."""
    settings = {
        "AWS_ENDPOINT_URL": store.environ["AWS_ENDPOINT_URL_S3"],
        "PILOTLIGHT_BATCH_OUTPUT": f"{store.url}/objects",
    }
    with (
        prepared("aws", model, store, settings, "batch") as function,
        lambda_runtime(function, "batch_handler.lambda_handler", 60) as runtime,
    ):
        yield runtime


@contextmanager
def in_functions_framework(model: Pinned, store: EmbeddedStore, **settings: str) -> Iterator[FunctionsRuntime]:
    """Run the function under functions-framework and gunicorn; its module has been imported."""
    with prepared("gcp", model, store, settings) as function, functions_runtime(function) as runtime:
        yield runtime


@contextmanager
def in_server(model: Pinned, store: EmbeddedStore, **settings: str) -> Iterator[FunctionsRuntime]:
    """Run the server of a container; its workers answer."""
    with prepared("container", model, store, settings) as function, container_runtime(function) as runtime:
        yield runtime


@contextmanager
def records_in_functions_framework(
    model: Pinned, store: EmbeddedStore, results: str, **settings: str
) -> Iterator[FunctionsRuntime]:
    """Run the function for records under functions-framework and gunicorn, as a function of CloudEvents."""
    with (
        prepared("gcp", model, store, {"PILOTLIGHT_RESULTS": results, **settings}, "records") as function,
        functions_runtime(function, "score_records", signature="cloudevent") as runtime,
    ):
        yield runtime


@contextmanager
def prepared(
    cloud: str, model: Pinned, store: EmbeddedStore, settings: Mapping[str, str], function: str = "predict"
) -> Iterator[Function]:
    """Stage a function, with its own empty folder for temporary files."""
    with TemporaryDirectory(prefix="pilotlight-test-") as folder:
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        own = {"PILOTLIGHT_STORE": store.url, "TMPDIR": str(temporary)}
        environ = {**passed_on(os.environ), **store.environ, **settings, **own}
        yield prepare(cloud, model.lock, Path(folder) / "function", environ, function)


def delete(store: EmbeddedStore, key: str) -> None:
    """Delete an object, which Pilotlight itself never does."""
    bucket = store.url.partition("://")[2]
    if store.url.startswith("s3://"):
        import boto3

        with acting_in(store.environ):
            client = boto3.client("s3")
            client.delete_object(Bucket=bucket, Key=key)
            client.close()
        return
    reply = requests.delete(
        f"{store.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/{bucket}/o/{quote(key, safe='')}", timeout=60
    )
    reply.raise_for_status()
