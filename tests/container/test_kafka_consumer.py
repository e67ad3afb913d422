"""The Kafka consumer as a process of its own, on a real broker."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from random import Random

import psutil
import pytest

import onnx_models
from harness import Pinned, pinned, prepared
from kafka_scenes import GOOD, Scene, all_ids, headers
from pilotlight_cli.local.client import send
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.kafka_runtime import KafkaRuntime
from pilotlight_cli.local.stores import EmbeddedStore
from waiting import wait_until

MakeScene = Callable[..., Scene]

# What cannot be scored, with the code and the path of its dead letter.
POISON = [(b"{bad", "invalid_request", ""), (b'{"features": [1, 2]}', "invalid_request", "$.features")]


def test_each_record_gets_its_result_or_its_dead_letter(staged: Function, scenes: MakeScene, model: Pinned) -> None:
    scene = scenes()
    scene.kafka.send(scene.rows, [GOOD] * 300 + [each[0] for each in POISON] + [None], headers=[("trace", b"1")])
    consumer = scene.consumer(staged)
    scene.wait_for_commits(303, consumer)

    results, failures = scene.kafka.results(scene.results), scene.kafka.messages(scene.failures)
    ids = [each["id"] for each in results] + [headers(each)["pilotlight-id"] for each in failures]
    assert sorted(ids) == sorted(all_ids(scene))
    assert {each["source"] for each in results} == {scene.rows}
    by_key = {each["key"]: each["result"] for each in results}
    assert by_key["302"] is None  # a tombstone
    assert (by_key["0"]["prediction"], by_key["0"]["model_version"]) == ("benign", 1)
    digest = model.model.files[0].sha256
    for (value, code, path), letter in zip(POISON, sorted(failures, key=lambda each: each.key() or b""), strict=True):
        assert letter.value() == value
        found = headers(letter)
        assert [found[f"pilotlight-{name}"] for name in ("code", "path", "model-digest")] == [code, path, digest]
        assert (found["pilotlight-model"], found["trace"]) == ("breast-cancer:1", "1")
        assert found["pilotlight-error"]
    told = consumer.log.events("records")
    assert [sum(each[name] for each in told) for name in ("records", "rejected", "rows")] == [303, 2, 300]
    assert [send(consumer.url, f"/health/{probe}").status for probe in ("live", "ready")] == [200, 200]


def test_without_a_topic_for_failures_it_stops_at_the_record_and_commits_what_is_before(
    staged: Function, scenes: MakeScene
) -> None:
    scene = scenes(partitions=2)
    scene.kafka.send(scene.rows, [GOOD] * 5 + [b"{bad"] + [GOOD] * 5, partition=0)
    scene.kafka.send(scene.rows, [GOOD] * 3, partition=1)
    consumer = scene.consumer(staged, FAILURES="")
    wait_until(lambda: consumer.exit_code is not None, limit=60)

    assert consumer.exit_code == 1
    (told,) = consumer.log.events("error")
    assert told["message"].startswith(f"Stopped: record {scene.rows}-0-5 cannot be scored: the body is not valid JSON")
    assert (
        "name a topic for such records with PILOTLIGHT_KAFKA_FAILURES, or leave it out: commit offset 6"
        in (told["message"])
    )
    assert scene.kafka.committed(scene.group, scene.rows, range(2))[0] == 5
    assert {each for each in scene.ids() if each.startswith(f"{scene.rows}-0-")} == {
        f"{scene.rows}-0-{offset}" for offset in range(5)
    }


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """Yield a consumer whose model takes as long as a record says."""
    folder = tmp_path_factory.mktemp("slow")
    golden = folder / "golden.json"
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [1], "data": [0.0]},
        {"name": "trips", "datatype": "INT64", "shape": [], "data": [1]},
    ]
    outputs = [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}]
    sample = {"inputs": inputs, "outputs": outputs}
    tolerance = {"absolute": 1e-6, "relative": 0.0}
    golden.write_text(json.dumps({"format": 1, "source": "given", "tolerance": tolerance, "samples": [sample]}))
    model = pinned(onnx_models.loop(folder), "slow", folder, golden=golden)
    with prepared("container", model, EmbeddedStore(model.store.url, {}), {}, "kafka") as function:
        yield function


def taking(trips: int) -> bytes:
    return json.dumps({"x": [0.0], "trips": trips}).encode()


def test_a_run_longer_than_the_poll_interval_keeps_its_partitions(slow: Function, scenes: MakeScene) -> None:
    scene = scenes(partitions=1)
    scene.kafka.send(scene.rows, [taking(3_000_000)] * 8)
    consumer = scene.consumer(slow, CLIENT_MAX_POLL_INTERVAL_MS="6000")
    scene.wait_for_commits(8, consumer, limit=300)
    scene.kafka.send(scene.rows, [taking(1)])
    scene.wait_for_commits(9, consumer)

    assert sorted(scene.ids()) == sorted(all_ids(scene))  # each once
    assert consumer.log.events("records")[0]["latency_ms"] > 6000
    assert not consumer.log.events("warning")


def test_sigterm_finishes_and_commits_the_run_under_way(slow: Function, scenes: MakeScene) -> None:
    scene = scenes(partitions=1)
    consumer = scene.consumer(slow)
    wait_until(lambda: bool(consumer.log.events("cold_start")), limit=60)
    scene.kafka.send(scene.rows, [taking(1)])
    scene.wait_for_commits(1, consumer)
    scene.kafka.send(scene.rows, [taking(3_000_000)] * 2)
    wait_until(lambda: psutil.Process(consumer.pid).cpu_percent(0.2) > 30, limit=60)  # it runs
    os.kill(consumer.pid, signal.SIGTERM)
    wait_until(lambda: consumer.exit_code is not None, limit=60)

    assert consumer.exit_code == 0
    assert (scene.committed(), sorted(scene.ids())) == (3, sorted(all_ids(scene)))


def test_brokers_that_are_down_stop_commits_and_lose_nothing(staged: Function, scenes: MakeScene) -> None:
    scene = scenes()
    scene.kafka.send(scene.rows, [GOOD] * 3000)
    consumer = scene.consumer(staged, BATCH="20", CLIENT_MESSAGE_TIMEOUT_MS="1000", CLIENT_SOCKET_TIMEOUT_MS="3000")
    wait_until(lambda: len(consumer.log.events("records")) > 5, limit=60)
    scene.kafka.freeze()
    try:
        done = len(consumer.log.events("records"))
        wait_until(lambda: send(consumer.url, "/health/ready").status == 503, limit=120)
        assert send(consumer.url, "/health/live").status == 200
        assert len(consumer.log.events("records")) - done <= 1  # the one that was acknowledged already
    finally:
        scene.kafka.thaw()
    scene.wait_for_commits(3000, consumer, limit=180)

    assert set(scene.ids()) == set(all_ids(scene))
    assert send(consumer.url, "/health/ready").status == 200


def test_consumers_that_come_and_go_in_order_repeat_nothing(staged: Function, scenes: MakeScene) -> None:
    scene = scenes()
    scene.kafka.send(scene.rows, [GOOD] * 200)
    first = scene.consumer(staged, BATCH="5")
    scene.wait_for_commits(200, first)
    second = scene.consumer(staged, BATCH="5")
    numbers = itertools.count()

    def both_work() -> bool:
        scene.kafka.send(scene.rows, [GOOD] * 20, partition=next(numbers) % 4)
        return bool(second.log.events("records"))

    wait_until(both_work, limit=120)
    first.stop()
    scene.kafka.send(scene.rows, [GOOD] * 200)
    wait_until(lambda: scene.committed() == len(all_ids(scene)), limit=120)

    assert first.exit_code == 0
    assert sorted(scene.ids()) == sorted(all_ids(scene))  # each once


def last(consumer: KafkaRuntime) -> str:
    """Return the first id of the last batch that a consumer logged."""
    events = consumer.log.events("records")
    return str(events[-1]["request_id"]) if events else ""


# How often one of two consumers is killed. More prove more: KAFKA_TEST_KILLS=50 takes some minutes.
KILLS = int(os.environ.get("KAFKA_TEST_KILLS", "3"))


def test_consumers_that_are_killed_while_others_join_lose_nothing(staged: Function, scenes: MakeScene) -> None:
    scene = scenes()
    seed = secrets.randbelow(1 << 32)
    random = Random(seed)  # noqa: S311 - no secret
    settings = {"BATCH": "10", "CLIENT_SESSION_TIMEOUT_MS": "2000"}
    first = scene.consumer(staged, **settings)
    for _ in range(KILLS):
        done = last(first)
        second = scene.consumer(staged, **settings)

        def has_worked(first: KafkaRuntime = first, done: str = done) -> bool:
            scene.kafka.send(scene.rows, [GOOD] * random.randrange(5, 50))
            return last(first) != done

        wait_until(has_worked, limit=120)
        end = time.monotonic() + random.random() * random.choice((0.1, 4))
        while time.monotonic() < end:  # before the other one has joined, while it joins, and after it
            has_worked()
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first = second
    wait_until(lambda: scene.committed() == len(all_ids(scene)), limit=180)

    ids, expected = scene.ids(), all_ids(scene)
    repeated = len(ids) - len(set(ids))
    print(f"seed {seed}: {KILLS} kills, {len(expected)} records, {repeated} results repeated")
    assert set(ids) == set(expected)
    assert not scene.kafka.messages(scene.failures)
