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
from pilotlight_cli.local.verify import verify
from pilotlight_cli.staging import build
from pilotlight_cli.staging.sources import add_pinned
from redis_server import RedisServer, hset
from repository import sample_request
from waiting import wait_until

HEAD = ['store = "redis://${FEATURES_ADDRESS}"', 'key = "patient:{patient_id}"', "budget_ms = 10000", "[entity]"]
NAMES = list(sample_request()[1]["features"])


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    """Return the sample with a features.toml: a request has the first feature, the store the others."""
    found = sample(tmp_path_factory.mktemp("store"))
    lock = copy_lock(found.lock, tmp_path_factory.mktemp("project"))
    features = [f'"{name}" = {{}}' for name in NAMES[1:]]
    lock.with_name("features.toml").write_text("\n".join([*HEAD, 'patient_id = "INT64"', "[features]", *features, ""]))
    return Pinned(lock, found.store)


@contextmanager
def running(form: str, model: Pinned, address: str) -> Iterator[Driver]:
    with stored("aws" if form == "aws" else "gcp", model) as store:
        if form == "aws":
            with in_lambda(model, store, FEATURES_ADDRESS=address) as runtime:
                yield drivers.lambda_function(runtime.invoke, http_api_event)
        else:
            run = in_server if form == "server" else in_functions_framework
            with run(model, store, FEATURES_ADDRESS=address) as instance:
                yield drivers.http(instance.url)


@pytest.mark.parametrize("form", ["aws", "gcp", "server"])
def test_an_id_gets_the_answer_of_its_features(form: str, model: Pinned, redis: RedisServer) -> None:
    features = sample_request()[1]["features"]
    redis.run("FLUSHALL", hset("patient:17", [(name, repr(features[name])) for name in NAMES[1:]]))
    with running(form, model, f"127.0.0.1:{redis.port}") as send:

        def predict(instance: object) -> tuple[int, dict[str, Any]]:
            reply = send("POST", "/predict", {"content-type": "application/json"}, json.dumps(instance).encode())
            return reply.status, json.loads(reply.body)

        def is_ready() -> bool:
            return send("GET", "/health/ready", {}, b"").status == 200

        wait_until(is_ready, limit=120)
        named = {"patient_id": 17, NAMES[0]: features[NAMES[0]]}
        assert predict({"features": named}) == predict({"features": features})
        status, document = predict({"features": {**named, "patient_id": 18}})
        assert (status, document["code"]) == (422, "feature_missing")
        redis.freeze()
        try:
            assert predict({"features": features})[0] == 200
        finally:
            redis.thaw()


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
