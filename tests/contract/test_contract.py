"""One behaviour: the same request gets the same status, headers and bytes, whichever way it comes."""

from __future__ import annotations

import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from typing import Any

import pytest

import models
from cases import JSON, Case, rents_cases, sample_cases
from drivers import WAYS, Driver, Drivers, Reply
from error_shape import check_refusal
from pilotlight.model.lock import load_lock
from repository import LOCK

FEATURES = list(load_lock(LOCK).model.signature.feature_names)
CASES = {"breast-cancer": sample_cases(FEATURES), "rents": rents_cases()}
ALL = [pytest.param(model, case, id=f"{model}: {case.name}") for model, cases in CASES.items() for case in cases]


# They pass on bodies of JSON and CSV as text.
AS_TEXT = {"http-api", "local front", "function-url", "load-balancer"}


def post(driver: Driver, path: str, body: object) -> Any:
    reply = driver("POST", path, JSON, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def without_id(reply: Reply) -> bytes:
    return reply.body.replace(reply.headers["x-request-id"].encode(), b"ID")


@pytest.mark.parametrize(("model", "case"), ALL)
def test_a_wrong_request_is_refused_alike_on_every_way_and_the_next_one_is_answered(
    model: str, case: Case, ways: Drivers, trained: dict[str, models.Trained]
) -> None:
    row = trained[model].draw(1, seed=1).instances[0]
    bodies = set()
    for way in WAYS:
        reply = ways[way, model](case.method, case.path, case.headers, case.body)
        check_refusal(reply, case)
        bodies.add(without_id(reply))
        assert "prediction" in post(ways[way, model], "/predict", {"features": row})
    assert len(bodies) == 1 or not case.is_text


def test_the_character_that_stands_for_others_is_taken_where_no_gateway_can_have_written_it(ways: Drivers) -> None:
    features = {"city": "Z\ufffdrich", "rooms": 2.0, "area": 50.5, "floor": 3.0}
    body = json.dumps({"features": features}, ensure_ascii=False).encode()
    replies = [ways[way, "rents"]("POST", "/predict", JSON, body) for way in WAYS]
    taken = {way: reply.body for way, reply in zip(WAYS, replies, strict=True) if reply.status == 200}
    assert WAYS - taken.keys() == AS_TEXT
    assert len(set(taken.values())) == 1
    escaped = json.dumps({"features": features}).encode()
    assert {ways[way, "rents"]("POST", "/predict", JSON, escaped).body for way in WAYS} == set(taken.values())


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_csv_is_answered_alike_or_refused_where_it_arrived_as_text(encoding: str, ways: Drivers) -> None:
    headers = {"content-type": "text/csv", "content-encoding": encoding}
    csv = b"city,rooms,area,floor\nDerby,2,50.5,3\n"
    packed = gzip.compress(csv) if encoding == "gzip" else zlib.compress(csv)
    plain = ways["core", "rents"]("POST", "/invocations", {"content-type": "text/csv"}, csv)
    assert plain.status == 200
    for way in WAYS:
        reply = ways[way, "rents"]("POST", "/invocations", headers, packed)
        # a load balancer encodes bodies that have an encoding
        if way in AS_TEXT - {"load-balancer"}:
            check_refusal(reply, Case("compressed", message="the compressed body arrived as text"))
        else:
            assert reply.body == plain.body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", CASES)
def test_the_served_answers_are_scikit_learns_own(
    way: str, model: str, ways: Drivers, trained: dict[str, models.Trained]
) -> None:
    expected = trained[model].draw(20, models.new_seed())
    found = post(ways[way, model], "/predict_batch", {"instances": expected.instances})
    assert found["model_name"] == model
    words = isinstance(expected.predictions[0], str)
    assert found["predictions"] == (expected.predictions if words else pytest.approx(expected.predictions, rel=1e-5))
    for row, probabilities in enumerate(expected.probabilities):
        assert found["probabilities"][row] == pytest.approx(probabilities, abs=1e-5)
        one = post(ways[way, model], "/predict", {"features": expected.instances[row]})
        assert one["prediction"] == expected.predictions[row]
        assert one["probability"] == pytest.approx(probabilities[1], abs=1e-5)


@pytest.mark.parametrize("model", CASES)
def test_the_same_rows_get_the_same_bytes_on_every_way(
    model: str, ways: Drivers, trained: dict[str, models.Trained]
) -> None:
    instances = trained[model].draw(50, models.new_seed()).instances
    body = json.dumps({"instances": instances}).encode()
    assert len({ways[way, model]("POST", "/predict_batch", JSON, body).body for way in WAYS}) == 1


@pytest.mark.parametrize("way", ["functions-framework", "server"])
@pytest.mark.parametrize("model", CASES)
def test_many_requests_at_once_get_what_each_of_them_gets_alone(
    model: str, way: str, ways: Drivers, trained: dict[str, models.Trained]
) -> None:
    good = [
        Case(f"row {row}", json.dumps({"features": instance}).encode())
        for row, instance in enumerate(trained[model].draw(60, models.new_seed()).instances)
    ]
    mixed = [case for pair in zip_longest(good, CASES[model]) for case in pair if case]

    def send(way: str, case: Case) -> tuple[int, bytes]:
        reply = ways[way, model](case.method, case.path, case.headers, case.body)
        return reply.status, without_id(reply)

    alone = [send("core", case) for case in mixed]
    with ThreadPoolExecutor(16) as callers:
        assert list(callers.map(partial(send, way), mixed)) == alone


@pytest.mark.parametrize("model", CASES)
def test_a_row_as_a_list_and_by_name_is_the_same_row(
    model: str, ways: Drivers, trained: dict[str, models.Trained]
) -> None:
    for instance in trained[model].draw(3, models.new_seed()).instances:
        by_name = post(ways["core", model], "/predict", {"features": instance})
        assert post(ways["core", model], "/predict", {"features": list(instance.values())}) == by_name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", "ready"), ("/health/live", "live"), ("/health/ready", "ready"), ("/health/startup", "ready")],
)
def test_health_names_model_and_version(way: str, path: str, status: str, ways: Drivers) -> None:
    reply = ways[way, "breast-cancer"]("GET", path, {}, b"")
    assert reply.status == 200
    assert json.loads(reply.body) == {"status": status, "model_name": "breast-cancer", "model_version": 1}


@pytest.mark.parametrize("way", WAYS)
def test_the_root_is_alive_in_v1s_word(way: str, ways: Drivers) -> None:
    reply = ways[way, "breast-cancer"]("GET", "/", {}, b"")
    assert (reply.status, json.loads(reply.body)) == (200, {"status": "alive"})


def test_what_v2_clients_write_beside_the_inputs_changes_nothing_on_any_way(ways: Drivers) -> None:
    matrix = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": list(range(30))}
    path = "/v2/models/breast-cancer/infer"
    plain = post(ways["core", "breast-cancer"], path, {"inputs": [matrix]})
    kserve = {"model_name": "breast-cancer", "model_version": "1"}
    mlserver = {"id": None, "parameters": None, "outputs": None}
    parameters = {"content_type": "np", "headers": None}
    for way in WAYS:
        for beside in (kserve, mlserver):
            body = {"inputs": [{**matrix, "parameters": parameters}], **beside}
            assert post(ways[way, "breast-cancer"], path, body) == plain
