"""A model that is not the pinned one is never served; each fault is named, and what mends it is enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import drivers
import models
from cases import JSON
from drivers import Driver, Reply
from fakes.gate import Gate
from harness import Pinned, delete, in_functions_framework, in_lambda, pinned, stored
from onnx_hiding import PLACES
from pilotlight.model.lock import File, load_lock, write_lock
from pilotlight_cli.local.events import http_api_event
from pilotlight_cli.local.lambda_runtime import FunctionFailed
from pilotlight_cli.local.process import ServeError
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.stores import open_store
from stalls import stalls

GOOD = json.dumps({"features": [1.0] * 30}).encode()


@pytest.fixture
def bucket(cloud: str, pins: dict[str, Pinned]) -> Iterator[EmbeddedStore]:
    with stored(cloud, *pins.values()) as store:
        yield store


def put(store: EmbeddedStore, key: str, content: bytes) -> None:
    with acting_in(store.environ):
        open_store(store.url).replace(key, content)


def stored_bytes(store: EmbeddedStore, key: str) -> bytes:
    with acting_in(store.environ):
        return open_store(store.url).read(key)


@contextmanager
def running(cloud: str, model: Pinned, store: EmbeddedStore, **settings: str) -> Iterator[Driver]:
    """Return a way to a function in the cloud's own runtime."""
    if cloud == "aws":
        with in_lambda(model, store, **settings) as runtime:
            yield drivers.lambda_function(runtime.invoke, http_api_event)
    else:
        with in_functions_framework(model, store, **settings) as instance:
            yield drivers.http(instance.url)


@contextmanager
def attempts(
    cloud: str, model: Pinned, store: EmbeddedStore, path: str = "/predict", request: bytes = GOOD, **settings: str
) -> Iterator[Callable[[], Reply]]:
    """Send a good request to a function, which starts for it unless it runs.

    On AWS that is one environment, which starts its runtime again after a failed init; on Google Cloud an instance
    that failed is gone, and the platform starts another. Raises FunctionFailed or ServeError when the start fails.
    """
    if cloud == "aws":
        with in_lambda(model, store, **settings) as runtime:
            send = drivers.lambda_function(runtime.invoke, http_api_event)
            yield partial(settled, partial(send, "POST", path, JSON, request), runtime.restart)
        return

    def attempt() -> Reply:
        with running(cloud, model, store, **settings) as send:
            return send("POST", path, JSON, request)

    yield partial(settled, attempt, lambda: None)


def settled(attempt: Callable[[], Reply], restart: Callable[[], object]) -> Reply:
    """Return the response of a function that has started; raise what a failed start raises.

    Where the store was not heard in time because the machine stood still, a start waits for more, and there is another.
    """
    for _ in range(5):
        with stalls() as stalled:
            reply = attempt()
            if reply.status != 503 or stalled() < 0.4:
                return reply
        restart()
    raise AssertionError("the machine stood still five times in a row")


def in_time(attempt: Callable[[], Reply]) -> Reply:
    """Return the response of a function that waits until half a second before Lambda ends it.

    Where it was ended because the machine stood still that long, it has another attempt.
    """
    for _ in range(5):
        with stalls() as stalled:
            try:
                return attempt()
            except FunctionFailed as error:
                if "timed out" not in str(error) or stalled() < 0.4:
                    raise
    raise AssertionError("the machine stood still five times in a row")


def refusal(attempt: Callable[[], Reply]) -> str:
    """Return the message of a start that must fail."""
    with pytest.raises((FunctionFailed, ServeError)) as caught:
        attempt()
    return str(caught.value)


def body(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


KEY = "breast-cancer/1/model.onnx"


def flipped(content: bytes) -> bytes:
    """Return the content with one bit of one byte in its middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (flipped, "expected SHA-256"),
        (lambda content: content[:-100], "bytes, the store has"),
        (lambda _: b"", "bytes, the store has 0"),
        (lambda content: content + content, " bytes, the store has "),
    ],
    ids=["one bit flipped", "truncated", "emptied", "too long"],
)
def test_altered_bytes_are_never_served_and_the_right_ones_are(
    alter: Callable[[bytes], bytes], message: str, cloud: str, bucket: EmbeddedStore, pins: dict[str, Pinned]
) -> None:
    good = stored_bytes(bucket, KEY)
    put(bucket, KEY, alter(good))
    with attempts(cloud, pins["breast-cancer"], bucket) as attempt:
        said = refusal(attempt)
        assert "DigestMismatch" in said
        assert message in said
        put(bucket, KEY, good)
        assert body(attempt())["model_version"] == 1


def test_another_model_in_the_pinned_ones_place_is_never_served(
    cloud: str, bucket: EmbeddedStore, pins: dict[str, Pinned]
) -> None:
    good = stored_bytes(bucket, KEY)
    other = pins["rents"].model
    put(bucket, KEY, stored_bytes(bucket, other.key(other.files[0].name)))
    with attempts(cloud, pins["breast-cancer"], bucket) as attempt:
        assert "DigestMismatch" in refusal(attempt)
        put(bucket, KEY, good)
        assert body(attempt())["model_name"] == "breast-cancer"


def test_a_newer_version_under_the_same_alias_is_not_served_until_it_is_pinned(
    cloud: str, trained: dict[str, models.Trained], tmp_path: Path
) -> None:
    old, new = trained["rents"], models.rents(tmp_path, seed=99)
    first = pinned(old.files["onnx"], "rents", tmp_path, alias="production")
    rows = old.draw(5, models.new_seed())
    request = json.dumps({"instances": rows.instances}).encode()
    second = pinned(new.files["onnx"], "rents", tmp_path, alias="production", lock="second")
    with stored(cloud, first, second) as bucket:
        for model, expected in ((first, rows), (second, new.answers_to(rows.instances))):
            with attempts(cloud, model, bucket, "/predict_batch", request) as attempt:
                found = body(attempt())
            assert found["model_version"] == model.model.version
            assert found["predictions"] == pytest.approx(expected.predictions, rel=1e-5)


def test_a_missing_model_is_named_with_both_possible_causes(
    cloud: str, bucket: EmbeddedStore, pins: dict[str, Pinned]
) -> None:
    good = stored_bytes(bucket, KEY)
    delete(bucket, KEY)
    with attempts(cloud, pins["breast-cancer"], bucket) as attempt:
        said = refusal(attempt)
        assert "ObjectRefused" in said
        assert KEY in said
        assert "does not exist" in said
        assert "may not read it" in said
        put(bucket, KEY, good)
        assert body(attempt())["model_version"] == 1


def test_a_lock_that_does_not_parse_fails_the_start_with_its_place(
    cloud: str, bucket: EmbeddedStore, pins: dict[str, Pinned], tmp_path: Path
) -> None:
    broken = tmp_path / "model.lock"
    document = json.loads(pins["breast-cancer"].lock.read_bytes())
    document["artifact"]["files"][0]["sha256"] = "abc"
    broken.write_text(json.dumps(document))
    with attempts(cloud, pins["breast-cancer"], bucket, PILOTLIGHT_LOCK=str(broken)) as attempt:
        said = refusal(attempt)
        assert "FormatError" in said
        assert "$.artifact.files[0].sha256: expected a SHA-256 in 64 hexadecimal digits" in said


def test_a_store_that_cannot_be_reached_is_a_503_until_it_can(
    cloud: str, bucket: EmbeddedStore, pins: dict[str, Pinned]
) -> None:
    (endpoint,) = (name for name in bucket.environ if name in ("AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST"))
    with Gate(bucket.environ[endpoint]) as gate:
        gate.is_open = False
        behind = dataclasses.replace(bucket, environ={**bucket.environ, endpoint: gate.url})
        with running(cloud, pins["breast-cancer"], behind) as send:
            for path, method in (("/health/ready", "GET"), ("/predict", "POST")):
                reply = in_time(partial(send, method, path, JSON, GOOD))
                assert (reply.status, json.loads(reply.body)["code"]) == (503, "not_ready")
                assert int(reply.headers["retry-after"]) >= 1
            assert send("GET", "/health/live", {}, b"").status == 200
            gate.is_open = True
            assert body(send("POST", "/predict", JSON, GOOD))["model_version"] == 1


def test_a_pickle_that_asks_for_more_than_its_lock_allows_is_not_loaded(
    cloud: str, trained: dict[str, models.Trained], tmp_path: Path
) -> None:
    good = pinned(trained["breast-cancer"].files["pickle"], "breast-cancer", tmp_path)
    lock = load_lock(good.lock)
    forest = next(name for name in lock.model.allowed_globals if name.endswith("RandomForestClassifier"))
    fewer = tuple(name for name in lock.model.allowed_globals if name != forest)
    narrow = relocked(good, tmp_path / "narrow", allowed_globals=fewer)
    with stored(cloud, good) as bucket:
        with attempts(cloud, narrow, bucket) as attempt:
            said = refusal(attempt)
            assert "UnsafePickle" in said
            assert forest in said
        with attempts(cloud, good, bucket) as attempt:
            assert body(attempt())["model_name"] == "breast-cancer"


def relocked(model: Pinned, folder: Path, **fields: Any) -> Pinned:
    """Return the same model with other fields in its lock, which is in a folder of its own with the files beside it."""
    folder.mkdir()
    for name in ("golden.json", "requirements.lock"):
        (folder / name).write_bytes((model.lock.parent / name).read_bytes())
    lock = load_lock(model.lock)
    altered = dataclasses.replace(lock, model=dataclasses.replace(lock.model, **fields))
    (folder / "model.lock").write_bytes(to_bytes(write_lock(altered)))
    return dataclasses.replace(model, lock=folder / "model.lock")


@pytest.mark.parametrize("place", ["an initializer", "a sparse constant", "a function's default"])
def test_a_model_does_not_reach_files_of_the_system(
    cloud: str, place: str, pins: dict[str, Pinned], bucket: EmbeddedStore, tmp_path: Path
) -> None:
    (tmp_path / "canary").write_bytes(b"CANARY 123456789")
    content = PLACES[place](str(tmp_path / "canary")).SerializeToString()
    file = File("model.onnx", len(content), hashlib.sha256(content).hexdigest())
    put(bucket, KEY, content)
    with attempts(cloud, relocked(pins["breast-cancer"], tmp_path / "pinned", files=(file,)), bucket) as attempt:
        assert (
            f"ModelError: model.onnx keeps tensors in '{tmp_path}/canary', which model.lock does not list"
            in refusal(attempt)
        )
