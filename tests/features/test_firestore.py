"""Features from Google's emulator of Firestore by REST: what instances get, in how many calls, and with which token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from doubles import COLUMNS
from fakes.json_handler import JsonHandler
from feature_scenes import MakeScene, Scene, plan_of
from firestore_emulator import firestore, write
from firestore_features import FirestoreFeatures
from pilotlight.errors import SettingsError
from pilotlight.features.plan import read_plan
from pilotlight.fetch.http_client import Address
from redis_server import Relay
from servers.metadata_server import TOKEN, MetadataServer

MISSING, BAD, DOWN = (422, "feature_missing"), (502, "bad_feature"), (503, "features_unavailable")
URL, KEY = "firestore://demo/flats", 'key = "{flat_id}:{country}"'
LIFE = ("[time_to_live]", 'column = "a`t"', "seconds = 60")
WRITTEN = datetime.fromtimestamp(time.time() - 600, UTC).isoformat()
DOCUMENTS: dict[str, dict[str, Any]] = {
    "flats/1:de": {"city": {"stringValue": "Köln"}, "n_rooms": {"integerValue": "3"}, "other": {"bytesValue": "eA=="}},
    "flats/2:de": {"city": {"stringValue": "Ulm"}},
    "flats/3:de": {"n_rooms": {"integerValue": "4"}},
    "flats/4:de": {"city": {"stringValue": "Bonn"}, "n_rooms": {"stringValue": "3"}},
    "flats/5:de": {"city": {"integerValue": "5"}, "n_rooms": {"integerValue": "3"}},
    "flats/6:de": {"city": {"arrayValue": {}}, "n_rooms": {"integerValue": "3"}},
    "flats/7:de": {"city": {"stringValue": "Bonn"}, "n_rooms": {"doubleValue": 1.5}},
    "flats/8:de": {"city": {"stringValue": "Bonn"}, "n_rooms": {"nullValue": None}},
    "flats/9:de": {"city": {"stringValue": "Bonn"}, "n_rooms": {"doubleValue": "NaN"}},
    "flats/10:de": {"city": {"stringValue": "Bonn"}, "a`t": {"timestampValue": WRITTEN}},
    "flats/1:de/private/x": {"city": {"stringValue": "secret"}},
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with firestore() as host:
        write(host, DOCUMENTS)
        yield host


@pytest.fixture
def scene() -> Iterator[MakeScene]:
    with ExitStack() as stack:

        def make(host: str, *more: str) -> Scene:
            environ = {"FIRESTORE_EMULATOR_HOST": host}
            stores = {"firestore": lambda url, plan: FirestoreFeatures(url, plan, environ)}
            return stack.enter_context(Scene(plan_of(URL, KEY, "budget_ms = 10000", more), stores))

        yield make


def flat(number: object, **more: object) -> dict[str, object]:
    return {"flat_id": number, "country": "de", "area": 50.5, **more}


def test_each_instance_gets_its_features_or_a_reason(emulator: str, scene: MakeScene) -> None:
    made = scene(emulator)
    for instance, expected in (
        (flat(1), [("Köln", 3, 50.5)]),
        (flat(2), [("Ulm", 2, 50.5)]),
        (flat(8), [("Bonn", 2, 50.5)]),
        (flat(9), [("Bonn", 2, 50.5)]),
        (flat(3), (*MISSING, "$.instances[0].city")),
        (flat(77), (*MISSING, "$.instances[0].city")),
        (flat(1, country="fr"), (*MISSING, "$.instances[0].city")),
        (flat(4), (*BAD, "$.instances[0].rooms")),
        (flat(5), (*BAD, "$.instances[0].city")),
        (flat(6), (*BAD, "$.instances[0].city")),
        (flat(7), (*BAD, "$.instances[0].rooms")),
    ):
        assert made.batch(instance) == expected, (instance, made.records.served[-1].error)


def test_an_id_names_no_other_place(emulator: str, scene: MakeScene) -> None:
    """Nor does one that no document can have fail the others of its request."""
    made = scene(emulator)
    assert made.batch(flat(1, country="de/private/x")) == (*MISSING, "$.instances[0].city")
    assert made.batch(flat(1), flat(1, country="de/x", city="-")) == [("Köln", 3, 50.5), ("-", 2, 50.5)]


def test_a_document_counts_for_a_time(emulator: str, scene: MakeScene) -> None:
    """Its column has a name that has to be quoted."""
    assert scene(emulator, *LIFE).batch(flat(10)) == (*MISSING, "$.instances[0].city")
    assert scene(emulator, *LIFE[:2], "seconds = 86_400").batch(flat(10)) == [("Bonn", 2, 50.5)]


def test_a_thousand_ids_are_one_round_trip(emulator: str, scene: MakeScene) -> None:
    """The relay passes on no reply before all names have come."""
    for start in (1000, 1500):
        cities = {f"flats/{number}:de": {"city": {"stringValue": f"{number}"}} for number in range(start, start + 500)}
        write(emulator, cities)
    relay = Relay(int(emulator.rpartition(":")[2]), b"/documents/flats/", 1000)
    found = scene(f"127.0.0.1:{relay.port}").batch(*(flat(number) for number in range(1000, 2000)))
    assert [row[0] for row in found] == [f"{number}" for number in range(1000, 2000)]


class Google(ThreadingHTTPServer):
    """Firestore as far as the emulator does not go: it wants a token, has errors, and hangs until `is_open`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens: list[str] = []
        self.statuses: list[int] = []
        self.is_open = threading.Event()
        self.is_open.set()


class _Handler(JsonHandler):
    server: Google

    def do_POST(self) -> None:
        names = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["documents"]
        self.server.is_open.wait(60)
        self.server.tokens.append(self.headers["Authorization"])
        if self.server.statuses:
            status = self.server.statuses.pop()
            self.reply(status, [{"error": {"code": status, "message": "injected"}}])
            return
        fields = {"city": {"stringValue": self.path}}
        self.reply(200, [{"found": {"name": name, "fields": fields}} for name in names])


@contextmanager
def google(budget: int = 10_000) -> Iterator[tuple[Scene, Google, MetadataServer]]:
    with MetadataServer() as metadata, Google() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        address = Address(tls=False, host="127.0.0.1", port=server.server_port)
        stores = {
            "firestore": lambda url, plan: FirestoreFeatures(
                url, plan, {"GCE_METADATA_HOST": metadata.host, "HOME": "/nowhere"}, address=address
            )
        }
        with Scene(plan_of(f"{URL}?database=eu", KEY, f"budget_ms = {budget}"), stores) as scene:
            yield scene, server, metadata
        server.is_open.set()
        server.shutdown()


def test_requests_have_the_token_of_the_service_account() -> None:
    """Asked for once; one that is refused is asked for anew."""
    with google() as (scene, server, metadata):
        path = "/v1/projects/demo/databases/eu/documents:batchGet"
        assert [scene.batch(flat(1)), scene.batch(flat(2))] == [[(path, 2, 50.5)]] * 2
        assert (server.tokens, metadata.requests) == (["Bearer a-token"] * 2, [TOKEN])
        server.statuses.append(401)
        assert scene.batch(flat(1)) == (*DOWN, None)
        metadata.manner.token = "another"
        assert scene.batch(flat(1)) == [(path, 2, 50.5)]
        assert server.tokens[3:] == ["Bearer another"]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_an_error_is_a_503_whose_cause_is_in_the_log(status: int) -> None:
    with google() as (scene, server, _):
        server.statuses.append(status)
        assert scene.batch(flat(1)) == (*DOWN, None)
        assert f"Firestore: {status}" in scene.records.served[0].error
        assert "injected" in scene.records.served[0].error


def test_a_server_that_hangs_costs_a_request_its_budget() -> None:
    with google(budget=300) as (scene, server, _):
        assert scene.send("/health/ready")[0] == 200
        server.is_open.clear()
        assert scene.batch(flat(1)) == (*DOWN, None)
        assert scene.send("/health/ready")[0] == 503


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/key.json"}, "the instance's own service account"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "without a proxy"),
        ({"FIRESTORE_EMULATOR_HOST": "localhost"}, "expected host:port, found 'localhost'"),
    ],
)
def test_an_environment_of_another_kind_fails_the_start(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FirestoreFeatures(URL, read_plan(plan_of(URL, KEY).encode(), COLUMNS), environ)
