"""Features from moto's DynamoDB by signed requests: what instances get, and how many calls it takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from dynamodb_features import DynamoDBFeatures
from fakes.s3_server import S3Server
from feature_scenes import MakeScene, Scene, plan_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MISSING, BAD, DOWN = (422, "feature_missing"), (502, "bad_feature"), (503, "features_unavailable")
KEY = 'key = { flat_id = "{flat_id}", place = "in:{country}" }'
ITEMS: dict[int, dict[str, Any]] = {
    1: {"city": {"S": "Köln"}, "n_rooms": {"N": "3"}, "other": {"SS": ["x"]}},
    2: {"city": {"S": "Ulm"}},
    3: {"n_rooms": {"N": "4"}},
    4: {"city": {"S": "Bonn"}, "n_rooms": {"S": "3"}},
    5: {"city": {"N": "5"}, "n_rooms": {"N": "3"}},
    6: {"city": {"B": b"Bonn"}, "n_rooms": {"N": "3"}},
    7: {"city": {"S": "Bonn"}, "n_rooms": {"N": "1.5"}},
    8: {"city": {"S": "Bonn"}, "n_rooms": {"NULL": True}},
    9: {"city": {"NULL": True}, "n_rooms": {"BOOL": True}},
}


class DynamoDB(S3Server):
    """moto's DynamoDB. `calls` counts the reads, `refusals` are errors for the next ones; they wait for `is_open`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.refusals: list[str] = []
        self.is_open = threading.Event()
        self.is_open.set()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".BatchGetItem"):
            self.calls += 1
            self.is_open.wait(60)
            if self.refusals:
                kind = f"com.amazonaws.dynamodb.v20120810#{self.refusals.pop()}"
                start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
                return [json.dumps({"__type": kind, "message": "injected"}).encode()]
        return super()._serve(environ, start_response)


@pytest.fixture(scope="module")
def environ(dynamodb: DynamoDB) -> Mapping[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
    return {**keys, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url}


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[DynamoDB]:
    with DynamoDB() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def table(dynamodb: DynamoDB) -> Iterator[Any]:
    """Give a table of flats, by their id and place."""
    import boto3

    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    client: Any = session.client("dynamodb", endpoint_url=dynamodb.url)
    parts = [("flat_id", "N", "HASH"), ("place", "S", "RANGE")]
    client.create_table(
        TableName="flats",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind, _ in parts],
        KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in parts],
        BillingMode="PAY_PER_REQUEST",
    )
    for number, item in ITEMS.items():
        put(client, number, item)
    yield client
    client.close()


def put(client: Any, number: int, item: Mapping[str, Any]) -> None:
    client.put_item(TableName="flats", Item={"flat_id": {"N": str(number)}, "place": {"S": "in:de"}, **item})


@pytest.fixture
def scene(environ: Mapping[str, str]) -> Iterator[MakeScene]:
    with ExitStack() as stack:

        def make(*more: str, budget: int = 10_000, environ: Mapping[str, str] = environ) -> Scene:
            plan = plan_of("dynamodb://flats", KEY, f"budget_ms = {budget}", more)
            stores = {"dynamodb": lambda url, plan: DynamoDBFeatures(url, plan, environ)}
            return stack.enter_context(Scene(plan, stores))

        yield make


def flat(number: object, **more: object) -> dict[str, object]:
    return {"flat_id": number, "country": "de", "area": 50.5, **more}


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (flat(1), [("Köln", 3, 50.5)]),
        (flat(2), [("Ulm", 2, 50.5)]),
        (flat(8), [("Bonn", 2, 50.5)]),
        (flat(3), (*MISSING, "$.instances[0].city")),
        (flat(77), (*MISSING, "$.instances[0].city")),
        (flat(1, country="fr"), (*MISSING, "$.instances[0].city")),
        (flat(4), (*BAD, "$.instances[0].rooms")),
        (flat(5), (*BAD, "$.instances[0].city")),
        (flat(6), (*BAD, "$.instances[0].city")),
        (flat(7), (*BAD, "$.instances[0].rooms")),
        (flat(9), (*MISSING, "$.instances[0].city")),
        (flat(9, city="a"), (*BAD, "$.instances[0].rooms")),
    ],
)
def test_each_instance_gets_its_features_or_a_reason(scene: MakeScene, instance: object, expected: Any) -> None:
    assert scene().batch(instance) == expected


def test_a_thousand_ids_are_ten_calls_at_once(dynamodb: DynamoDB, table: Any, scene: MakeScene) -> None:
    """And what has no item has none, wherever it is in the request."""
    for number in range(1000, 1100):
        put(table, number, {"city": {"S": f"city {number}"}})
    made, before = scene(), dynamodb.calls
    found = made.batch(*(flat(number, **({} if number < 1100 else {"city": "-"})) for number in range(1000, 2000)))
    assert [row[0] for row in found] == [*(f"city {number}" for number in range(1000, 1100)), *["-"] * 900]
    assert dynamodb.calls - before == 10


def test_keys_that_a_call_leaves_are_asked_for_again(dynamodb: DynamoDB, table: Any, scene: MakeScene) -> None:
    """A reply has 16 MB at most."""
    for number in range(2000, 2050):
        put(table, number, {"city": {"S": f"{number}" + "x" * 390_000}})
    made, before = scene(), dynamodb.calls
    found = made.batch(*(flat(number) for number in range(2000, 2050)))
    assert [row[0][:4] for row in found] == [f"{number}" for number in range(2000, 2050)]
    assert dynamodb.calls - before == 2


@pytest.mark.parametrize(
    ("refusals", "calls", "expected"),
    [
        (["ThrottlingException", "ProvisionedThroughputExceededException"], 3, [("Köln", 3, 50.5)]),
        (["ResourceNotFoundException"], 1, (*DOWN, None)),
        (["AccessDeniedException"], 1, (*DOWN, None)),
    ],
)
def test_only_what_may_pass_is_tried_again(
    dynamodb: DynamoDB, scene: MakeScene, refusals: list[str], calls: int, expected: Any
) -> None:
    made, before = scene(), dynamodb.calls
    dynamodb.refusals = list(refusals)
    assert made.batch(flat(1)) == expected
    assert dynamodb.calls - before == calls
    if expected[0] == 503:
        assert refusals[0] in made.records.served[0].error


def test_a_table_that_hangs_costs_a_request_its_budget(dynamodb: DynamoDB, scene: MakeScene) -> None:
    made = scene(budget=300)
    assert made.send("/health/ready")[0] == 200
    dynamodb.is_open.clear()
    try:
        assert made.batch(flat(1)) == (*DOWN, None)
        assert made.send("/health/ready")[0] == 503
    finally:
        dynamodb.is_open.set()
    assert scene().batch(flat(1)) == [("Köln", 3, 50.5)]


def test_credentials_of_another_kind_are_for_boto3(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch, environ: Any
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made = scene(environ={})
    assert made.batch(flat(1), flat(4, rooms=1)) == [("Köln", 3, 50.5), ("Bonn", 1, 50.5)]
    assert made.batch(flat(6)) == (*BAD, "$.instances[0].city")
