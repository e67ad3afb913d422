"""Features from a real Redis: what a request gets, and its error when the store has nothing, nonsense or no time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feature_scenes import MakeScene
from pilotlight.records.decode import EventRecord
from pilotlight.records.score import Scorer
from redis_server import RedisServer, Relay, hset
from waiting import wait_until

FLAT = {"flat_id": 1, "country": "de", "area": 50.5}
STORED = [
    hset("flat:1:de", [("city", "Köln"), ("n_rooms", "3"), ("other", "x")]),
    hset("flat:2:de", [("city", "Ulm")]),
    hset("flat:3:de", [("n_rooms", "4")]),
    hset("flat:4:de", [("city", "Bonn"), ("n_rooms", "three")]),
    hset("flat:5:de", [("city", "Bonn"), ("n_rooms", "9223372036854775808")]),
    hset("flat:6:de", [("city", "\\xff"), ("n_rooms", "1")]),
    hset("flat:7:de", [("city", ""), ("n_rooms", "1.5")]),
    'LPUSH "flat:8:de" 1',
]
MISSING, BAD, DOWN = (422, "feature_missing"), (502, "bad_feature"), (503, "features_unavailable")
WRONG = (400, "invalid_request")


def flat(number: object, **more: object) -> dict[str, object]:
    return {**FLAT, "flat_id": number, **more}


@pytest.fixture(autouse=True)
def stored(redis: RedisServer) -> None:
    redis.run("FLUSHALL", *STORED)


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (flat(1), ("Köln", 3, 50.5)),
        (flat(2), ("Ulm", 2, 50.5)),
        (flat(1, city="Hamm"), ("Hamm", 3, 50.5)),
        (flat(9, city="Hamm"), ("Hamm", 2, 50.5)),
        (flat(4, rooms=7), ("Bonn", 7, 50.5)),
        (flat(7, rooms=7), ("", 7, 50.5)),
        (flat(9, city="Hamm", rooms=7), ("Hamm", 7, 50.5)),
        ({"city": "Hamm", "rooms": 7, "area": 1}, ("Hamm", 7, 1.0)),
        (["Hamm", 7, 1], ("Hamm", 7, 1.0)),
        (flat(3), (*MISSING, "$.instances[0].city")),
        (flat(9), (*MISSING, "$.instances[0].city")),
        (flat(1, country="fr"), (*MISSING, "$.instances[0].city")),
        (flat(4), (*BAD, "$.instances[0].rooms")),
        (flat(5), (*BAD, "$.instances[0].rooms")),
        (flat(6), (*BAD, "$.instances[0].city")),
        (flat(7), (*BAD, "$.instances[0].rooms")),
        (flat(8), (*BAD, "$.instances[0].city")),
        (flat("1"), (*WRONG, "$.instances[0].flat_id")),
        (flat(True), (*WRONG, "$.instances[0].flat_id")),
        (flat(1.5), (*WRONG, "$.instances[0].flat_id")),
        (flat(2**63), (*WRONG, "$.instances[0].flat_id")),
        (flat(1, country=""), (*WRONG, "$.instances[0].country")),
        (flat(1, country="d" * 1025), (*WRONG, "$.instances[0].country")),
        (flat(1, country="\ud800"), (*WRONG, "$.instances[0].country")),
        (flat(1, country=None), (*WRONG, "$.instances[0].country")),
        ({"flat_id": 1, "area": 1}, (*WRONG, "$.instances[0]")),
        ({"area": 1}, (*WRONG, "$.instances[0]")),
        ({"flat_id": 1, "country": "de"}, (*WRONG, "$.instances[0]")),
        (flat(1, colour="red"), (*WRONG, "$.instances[0]")),
        (flat(1, area="wide"), (*WRONG, "$.instances[0].area")),
    ],
)
def test_each_instance_gets_its_features_or_a_reason(scene: MakeScene, instance: object, expected: Any) -> None:
    expected = expected if isinstance(expected[1], str) and expected[0] in (400, 422, 502) else [expected]
    assert scene().batch(instance) == expected


def test_only_the_log_shows_what_a_store_has(scene: MakeScene) -> None:
    made = scene()
    _, document = made.send("/predict_batch", {"instances": [flat(4)]})
    assert "three" not in document["error"]
    assert "n_rooms" in made.records.served[0].error
    assert "three" in made.records.served[0].error


@pytest.mark.parametrize(
    ("path", "document", "place"),
    [
        ("/predict", {"features": flat(1)}, "$.features"),
        ("/predict_batch", {"instances": [flat(1)]}, "$.instances[0]"),
        ("/v1/models/example:predict", {"instances": [flat(1)]}, "$.instances[0]"),
        ("/invocations", {"dataframe_records": [flat(1)]}, "$.dataframe_records[0]"),
        ("/invocations", {"instances": [flat(1)]}, "$.instances[0]"),
        ("/bigquery", {"calls": [[flat(1)]]}, "$.calls[0][0]"),
    ],
)
def test_every_form_of_named_features_is_looked_up(
    scene: MakeScene, path: str, document: dict[str, Any], place: str
) -> None:
    made = scene()
    assert made.send(path, document)[0] == 200
    assert made.rows == [("Köln", 3, 50.5)]
    text = json.dumps(document).replace('"flat_id": 1', '"flat_id": 9')
    assert made.send(path, json.loads(text))[1]["path"] == f"{place}.city"


def test_records_are_looked_up_together_and_fail_alone(redis: RedisServer, scene: MakeScene) -> None:
    """Whatever form a record has; a record without features does not fail the others."""
    made = scene("[cache]", "entries = 10", "seconds = 60")
    payloads: list[Any] = [
        flat(1),
        {"features": flat(2)},
        json.dumps(flat(9)),
        flat("x"),
        json.dumps({"features": flat(9)}),
    ]
    before = redis.calls("hmget")
    scorer = Scorer(made.service.plane, max_bytes=100_000, clock=made.clock)
    records = [EventRecord(str(index), payload) for index, payload in enumerate(payloads)]
    scoring = scorer.score(records, made.clock() + 60)
    assert sorted(made.rows) == [("Köln", 3, 50.5), ("Ulm", 2, 50.5)]
    assert [(one.error.code, one.error.path) if one.error else None for one in scoring.outcomes] == [
        *(None, None, ("feature_missing", "$.city"), ("invalid_request", "$.flat_id")),
        ("feature_missing", "$.features.city"),
    ]
    assert redis.calls("hmget") - before == 3


def test_a_thousand_ids_are_one_round_trip(redis: RedisServer, scene: MakeScene) -> None:
    """The relay passes on no reply before all commands have come; the same id is asked for once."""
    redis.run("FLUSHALL", *(hset(f"flat:{number}:de", [("city", f"city {number}")]) for number in range(1000)))
    relay = Relay(redis.port, b"HMGET", 1000)
    made = scene(url=f"redis://127.0.0.1:{relay.port}/0", budget=10_000)
    before = redis.calls("hmget")
    found = made.batch(*(flat(number) for number in range(1000)), flat(7), flat(7))
    assert [row[0] for row in found] == [f"city {number}" for number in (*range(1000), 7, 7)]
    assert redis.calls("hmget") - before == 1000


def test_json_texts_are_read_by_one_command(redis: RedisServer, scene: MakeScene) -> None:
    values = {1: '{"city":"Köln","n_rooms":3}', 2: '{"city":null}', 3: '{"city":"Ulm","n_rooms":"3"}', 4: "[1]"}
    redis.run("FLUSHALL", *(f"SET flat:{number}:de '{text}'" for number, text in values.items()))
    made = scene(head='layout = "json"')
    before = redis.calls("mget")
    assert made.batch(flat(1), flat(1)) == [("Köln", 3, 50.5)] * 2
    assert redis.calls("mget") - before == 1
    assert made.batch(flat(1), flat(2)) == (*MISSING, "$.instances[1].city")
    assert made.batch(flat(3)) == (*BAD, "$.instances[0].rooms")
    assert made.batch(flat(4)) == (*BAD, "$.instances[0].city")


def test_a_cached_row_is_served_for_as_long_as_the_file_says(redis: RedisServer, scene: MakeScene) -> None:
    """And so is what is missing. A row that is older is never served, also if the store is down."""
    made = scene("[cache]", "entries = 2", "seconds = 30")
    assert made.batch(flat(1), flat(9, city="a")) == [("Köln", 3, 50.5), ("a", 2, 50.5)]
    before = redis.calls("hmget")
    redis.run(hset("flat:1:de", [("n_rooms", "8")]), hset("flat:9:de", [("n_rooms", "8")]))
    made.ahead += 29
    assert made.batch(flat(1), flat(9, city="a")) == [("Köln", 3, 50.5), ("a", 2, 50.5)]
    assert redis.calls("hmget") == before
    made.ahead += 2
    assert made.batch(flat(1), flat(9, city="a")) == [("Köln", 8, 50.5), ("a", 8, 50.5)]
    assert made.batch(flat(2)) == [("Ulm", 2, 50.5)]  # which takes the place of the oldest
    before = redis.calls("hmget")
    assert made.batch(flat(2), flat(9, city="a"), flat(1))[2] == ("Köln", 8, 50.5)
    assert redis.calls("hmget") - before == 1


def test_rows_that_were_written_too_long_ago_do_not_count(redis: RedisServer, scene: MakeScene) -> None:
    made = scene("[time_to_live]", 'column = "written"', "seconds = 3600")
    for number, written in ((1, made.now()), (2, made.now()), (3, "never")):
        redis.run(hset(f"flat:{number}:de", [("city", "Köln"), ("n_rooms", "3"), ("written", str(written))]))
    assert made.batch(flat(1)) == [("Köln", 3, 50.5)]
    assert made.batch(flat(3, city="a")) == [("a", 2, 50.5)]
    made.ahead += 3700
    assert made.batch(flat(1, city="a"), flat(2)) == (*MISSING, "$.instances[1].city")
    assert "too old" in made.send("/predict", {"features": flat(1)})[1]["error"]


def test_a_store_that_hangs_costs_a_request_its_budget_and_the_next_one_nothing(
    redis: RedisServer, scene: MakeScene
) -> None:
    made = scene(budget=60)
    wait_until(lambda: made.batch(flat(1)) == [("Köln", 3, 50.5)], limit=60)
    redis.freeze()
    try:
        assert made.batch(flat(1)) == (*DOWN, None)
        assert made.send("/health/ready")[0] == 503
        assert made.batch(["Hamm", 7, 1]) == [("Hamm", 7, 1.0)]
    finally:
        redis.thaw()
    wait_until(lambda: made.batch(flat(1)) == [("Köln", 3, 50.5)], limit=60)
    assert made.send("/health/ready")[0] == 200


def test_a_store_that_is_down_is_a_503_until_it_is_back(scene: MakeScene) -> None:
    """A connection that the store has closed meanwhile costs no request anything."""
    own = RedisServer()
    own.start()
    own.run(*STORED)
    made = scene(url=own.url)
    assert made.batch(flat(1)) == [("Köln", 3, 50.5)]
    own.stop()
    assert made.batch(flat(1)) == (*DOWN, None)
    status, document = made.send("/health/ready")
    assert (status, document["code"]) == DOWN
    assert made.send("/health/live")[0] == 200
    own.start()
    own.run(*STORED)
    assert made.send("/health/ready")[0] == 200
    own.run("CLIENT KILL TYPE normal SKIPME yes")
    assert made.batch(flat(1)) == [("Köln", 3, 50.5)]
    own.stop()


@pytest.mark.parametrize(
    ("user", "database", "expected"),
    [
        ("reader:se%2Fcret@", "1", [("Köln", 3, 50.5)]),
        ("reader:wrong@", "1", (*DOWN, None)),
        ("", "1", (*DOWN, None)),
        ("reader:se%2Fcret@", "99", (*DOWN, None)),
    ],
)
def test_a_user_and_a_database_of_the_url_count(scene: MakeScene, user: str, database: str, expected: Any) -> None:
    own = RedisServer()
    own.start()
    try:
        own.run(
            "SELECT 1", STORED[0], "ACL SETUSER reader on >se/cret ~flat:* +hmget +select", "ACL SETUSER default off"
        )
        assert scene(url=f"redis://{user}127.0.0.1:{own.port}/{database}").batch(flat(1)) == expected
    finally:
        own.stop()
