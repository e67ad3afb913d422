"""A catalogue of wrong requests: whatever is sent, a function refuses it, says why, and goes on answering."""

from __future__ import annotations

import json

import pytest

from catalogue import CATALOGUE
from catalogue.building import FLAT, INFER, ROW, Wrong, bodied, echo
from contract.conftest import Running
from drivers import WAYS, Driver, Drivers
from error_shape import check_refusal
from processes import descendants, resident

ALL = [
    pytest.param(wrong, id=f"{kind}: {wrong.model}: {wrong.case.name}".encode("unicode_escape").decode())
    for kind, found in CATALOGUE.items()
    for wrong in found
]


def send(driver: Driver, wrong: Wrong) -> None:
    """Send a wrong request and check that it is refused as its case says."""
    case = wrong.case
    check_refusal(driver(case.method, case.path, case.headers, case.body), case)


def answers(driver: Driver, model: str) -> None:
    """Check that a good request is answered."""
    if model == "echo":
        body, headers = bodied(echo())
        reply = driver("POST", INFER, headers, body)
        assert reply.status == 200, reply.body
        assert json.loads(reply.body)["outputs"][0]["data"] == [1]
        return
    features = {"breast-cancer": ROW, "rents": FLAT}[model]
    reply = driver(
        "POST", "/predict", {"content-type": "application/json"}, json.dumps({"features": features}).encode()
    )
    assert reply.status == 200, reply.body
    assert json.loads(reply.body)["model_name"] == model


def test_the_catalogue_is_large_and_no_class_of_it_is_small() -> None:
    assert sum(map(len, CATALOGUE.values())) >= 400
    assert all(len({wrong.case.name for wrong in found}) >= 10 for found in CATALOGUE.values())


@pytest.mark.parametrize("wrong", ALL)
def test_a_wrong_request_is_refused_and_a_good_one_behind_it_is_answered(wrong: Wrong, ways: Drivers) -> None:
    for way in WAYS:
        send(ways[way, wrong.model], wrong)
        answers(ways[way, wrong.model], wrong.model)


@pytest.mark.parametrize("way", ["http-api", "functions-framework", "server"])
def test_memory_stays_bounded_whatever_is_sent(way: str, ways: Drivers, functions: dict[str, Running]) -> None:
    large = [wrong for kind in ("oversize", "bombs", "binary sizes") for wrong in CATALOGUE[kind]]
    runtimes = {
        "http-api": functions["breast-cancer"].on_aws.pid,
        "functions-framework": functions["breast-cancer"].on_gcp.pid,
        "server": functions["breast-cancer"].in_container.pid,
    }

    def held() -> int:
        for wrong in large:
            if wrong.model == "breast-cancer":
                send(ways[way, wrong.model], wrong)
        return resident(descendants(runtimes[way]))

    def growth() -> int:
        return min(rounds[-4:]) - rounds[-5]

    rounds = [held() for _ in range(6)]
    while growth() >= 16_000_000 and len(rounds) < 24:  # each thread's first large body adds to it, by chance late
        rounds.append(held())
    assert growth() < 16_000_000, rounds
    assert max(rounds) < 400_000_000
