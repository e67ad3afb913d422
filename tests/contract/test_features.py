"""Features from a real Redis in each cloud's own runtime and in a container: the same answers as with all features."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers import Driver
from harness import Pinned, in_functions_framework, in_lambda, in_server, sample, stored
from local_lock import copy_lock
from pilotlight.errors import FormatError
from pilotlight_cli.local.events import http_api_event
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from pilotlight_cli.local.verify import verify
from pilotlight_cli.staging import build
from pilotlight_cli.staging.sources import add_pinned
from redis_server import RedisServer, hset
from repository import sample_request
from waiting import wait_until

REDIS = ['store = "redis://${FEATURES_ADDRESS}"', 'key = "patient:{patient_id}"']
STORES = {"aws": ['store = "dynamodb://patients"', 'key = { id = "{patient_id}" }'], "gcp": REDIS, "server": REDIS}
SAMPLE = sample_request()[1]["features"]
NAMES = list(SAMPLE)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def model(form: str, tmp_path: Path) -> Pinned:
    """Return the sample with a features.toml: a request has the first feature, the store the others."""
    found = sample(tmp_path / "store")
    (tmp_path / "project").mkdir()
    lock = copy_lock(found.lock, tmp_path / "project")
    features = [f'"{name}" = {{}}' for name in NAMES[1:]]
    lines = [*STORES[form], "budget_ms = 10000", "[entity]", 'patient_id = "INT64"', "[features]", *features, ""]
    lock.with_name("features.toml").write_text("\n".join(lines))
    return Pinned(lock, found.store)


@contextmanager
def running(form: str, model: Pinned, redis: RedisServer) -> Iterator[Driver]:
    """Run a function whose store has the features of patient 17."""
    values = {name: repr(SAMPLE[name]) for name in NAMES[1:]}
    with stored("aws" if form == "aws" else "gcp", model) as store:
        if form == "aws":
            url = store.environ["AWS_ENDPOINT_URL_S3"]  # moto has all services
            put_item(store, url, {"id": {"N": "17"}, **{name: {"N": value} for name, value in values.items()}})
            with in_lambda(model, store, AWS_ENDPOINT_URL_DYNAMODB=url) as runtime:
                yield drivers.lambda_function(runtime.invoke, http_api_event)
            return
        redis.run("FLUSHALL", hset("patient:17", list(values.items())))
        run = in_server if form == "server" else in_functions_framework
        with run(model, store, FEATURES_ADDRESS=f"127.0.0.1:{redis.port}") as instance:
            yield drivers.http(instance.url)


def put_item(store: EmbeddedStore, url: str, item: dict[str, Any]) -> None:
    import boto3

    with acting_in(store.environ):
        client: Any = boto3.client("dynamodb", endpoint_url=url)
        client.create_table(
            TableName="patients",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.put_item(TableName="patients", Item=item)
        client.close()


@pytest.mark.parametrize("form", STORES)
def test_an_id_gets_the_answer_of_its_features(form: str, model: Pinned, redis: RedisServer) -> None:
    with running(form, model, redis) as send:

        def predict(instance: object) -> tuple[int, dict[str, Any]]:
            reply = send("POST", "/predict", {"content-type": "application/json"}, json.dumps(instance).encode())
            return reply.status, json.loads(reply.body)

        def is_ready() -> bool:
            return send("GET", "/health/ready", {}, b"").status == 200

        wait_until(is_ready, limit=120)
        named = {"patient_id": 17, NAMES[0]: SAMPLE[NAMES[0]]}
        assert predict({"features": named}) == predict({"features": SAMPLE})
        status, document = predict({"features": {**named, "patient_id": 18}})
        assert (status, document["code"]) == (422, "feature_missing")


@pytest.mark.parametrize("form", ["gcp"])
def test_the_command_checks_the_file_and_puts_it_where_instances_are_read(model: Pinned, tmp_path: Path) -> None:
    lock = copy_lock(model.lock, tmp_path)
    features = shutil.copy(model.lock.with_name("features.toml"), tmp_path)
    lock.with_name("golden.json").unlink()  # so that no runtime is started
    check = {one.name: one for one in verify(lock, model.store.url, "gcp").checks}["features.toml"]
    assert (check.ok, check.detail) == (True, f"29 of 30 features are looked up; requests have {NAMES[0]}")
    copy_lock(model.lock, tmp_path)
    for function in ("predict", "records", "kafka", "batch"):
        folder = tmp_path / "package" / function
        folder.mkdir(parents=True)
        add_pinned(lock, folder, function)
    found = {path.parent.name for path in (tmp_path / "package").rglob("features.toml")}
    assert found == {"predict", "records", "kafka"}
    Path(features).write_text(Path(features).read_text().replace('"mean texture"', '"mean text"'))
    with pytest.raises(FormatError, match=r'^features.toml: \$.features\["mean text"\]: the model has no feature'):
        build("gcp", lock, tmp_path / "built", lambda _: None)
    check = {one.name: one for one in verify(lock, model.store.url, "gcp").checks}["features.toml"]
    assert not check.ok
