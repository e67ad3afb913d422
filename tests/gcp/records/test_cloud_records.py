"""Events of Google's sources in mixes of every kind: each record ends in exactly one of a result or a failure."""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from gzip import compress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from cloud_destinations import Bucket, Topic, open_destination
from cloud_events import FINALIZED, PUBLISHED
from cloud_records import CloudRecords, Event, status
from doubles import FEATURES, Records, service
from fakes.pubsub import FakePubSub
from google_api import Call, GoogleApi, Reply, storage
from pilotlight.errors import RequestError, SettingsError, StoreUnavailable
from pilotlight.fetch.http_client import Address
from pilotlight.model.tensor import BYTES, FP32, Tensor
from pilotlight.telemetry import Scored
from pilotlight_cli.assets import ROOT
from properties import given, settings, st
from servers import gcs_objects
from servers.fake_gcs import FakeGcs, Fault

ROWS, RESULTS, FAILURES, DEAD = (f"projects/p/topics/{name}" for name in ("rows", "results", "failures", "dead"))
ATTEMPTS, LIMIT = 5, 10_000


def predict(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    rows = inputs[0].shape[0]
    values = inputs[0].values()
    if any(value == 13 for value in values):
        raise ValueError("the model breaks on 13")
    labels = ["large" if value >= 0.5 else "small" for value in values[::3]]
    return Tensor(BYTES, (rows,), labels), Tensor(FP32, (rows, 2), inputs[0].data[: rows * 8])


@dataclass(frozen=True)
class Google:
    """Pub/Sub, a Cloud Storage with the buckets `data` and `results`, and what finds both."""

    pubsub: FakePubSub
    gcs: FakeGcs
    apis: list[GoogleApi]

    @property
    def environ(self) -> dict[str, str]:
        return {"PUBSUB_EMULATOR_HOST": self.pubsub.host, "STORAGE_EMULATOR_HOST": self.gcs.url}

    def records(self, results: str, failures: str = "", log: Records | None = None, limit: int = LIMIT) -> CloudRecords:
        served = service(FEATURES, predict, records=log, max_body_bytes=limit)
        return CloudRecords(
            served, self.storage(), self.destination(results), self.destination(failures) if failures else None
        )

    def storage(self) -> GoogleApi:
        self.apis.append(storage(self.environ))
        return self.apis[-1]

    def destination(self, place: str) -> Bucket | Topic:
        found = open_destination(place, self.environ)
        self.apis.append(found._api)
        return found

    def close(self) -> None:
        for api in self.apis:
            api.close()
        self.apis.clear()

    def published(self, topic: str) -> list[tuple[bytes, dict[str, str]]]:
        return [(b64decode(each["data"]), each["attributes"]) for each in self.pubsub.published[topic]]

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data, _ in self.published(RESULTS)]

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        found = self.gcs.buckets.objects("results")
        return {name: [json.loads(line) for line in found[name].content.splitlines()] for name in sorted(found)}

    def stored(
        self,
        content: bytes,
        name: str = "in/rows.jsonl",
    ) -> Event:
        """Write an object; return its event."""
        generation = self.gcs.put("data", name, content)
        data = {
            "bucket": "data",
            "name": name,
            "generation": str(generation),
            "size": str(len(content)),
            "timeCreated": "2026-12-02T10:00:00.123Z",
        }
        return Event(f"event-{generation}", FINALIZED, "//storage.googleapis.com/projects/_/buckets/data", data, {})


class Direct(GoogleApi):
    """Both APIs without a network between."""

    def __init__(self, clouds: Google) -> None:
        super().__init__(Address(tls=False, host="unused", port=1), None)
        self._clouds = clouds

    def call(self, call: Call, deadline: float) -> Reply:
        """See `GoogleApi.call`."""
        url = urlsplit(call.target)
        query = dict(parse_qsl(url.query))
        try:
            if url.path.startswith("/v1/"):
                return Reply(
                    200, json.dumps(self._clouds.pubsub.call(call.method, url.path, json.loads(call.body))).encode()
                )
            bucket, _, name = url.path.partition("/storage/v1/b/")[2].partition("/o")
            buckets = self._clouds.gcs.buckets
            if call.method == "GET":
                return Reply(200, buckets.find(bucket, unquote(name[1:]), query).content)
            buckets.write(bucket, {"name": query["name"]}, call.body, query)
            return Reply(200, b"{}")
        except gcs_objects.Refused as refused:
            return Reply(refused.status, str(refused).encode())


@pytest.fixture
def google(clouds: Google) -> Iterator[Google]:
    for topic in (ROWS, RESULTS, FAILURES, DEAD):
        clouds.pubsub.published[topic] = []
    clouds.pubsub.down.clear()
    for bucket in ("data", "results"):
        clouds.gcs.buckets.objects(bucket).clear()
    yield clouds
    clouds.close()


@pytest.fixture(scope="module")
def clouds() -> Iterator[Google]:
    with FakePubSub() as topics, FakeGcs("data", "results") as gcs:
        yield Google(topics, gcs, [])


def message(number: int, text: str | bytes, **attributes: str) -> Event:
    payload = text if isinstance(text, bytes) else text.encode()
    body: dict[str, Any] = {
        "data": b64encode(payload).decode(),
        "messageId": str(number),
        "publishTime": "2026-12-02T10:00:00.123Z",
        "attributes": attributes,
    }
    return Event(str(number), PUBLISHED, f"//pubsub.googleapis.com/{ROWS}", {"message": body}, {})


TEXTS = {
    "good": lambda number: json.dumps({"features": [number / 16, 2, 3]}),
    "line": lambda number: f"{number},2,3",
    "poison": lambda number: f"not for the model {number}",
    "breaks": lambda number: json.dumps([13, number, 1]),
    "wide": lambda number: json.dumps({"features": [number] * 4}),
    "large": lambda number: " " * 11_000 + str(number),
}
GOOD = ("good", "line")
KINDS = [*TEXTS, "good", "good", "empty"]


def text_of(kind: str, number: int) -> str:
    return TEXTS[kind](number) if kind in TEXTS else ""


def deliver(subject: CloudRecords, events: Sequence[Event]) -> set[str]:
    """Deliver as a subscription with a dead-letter topic does; return the ids that went there."""
    waiting = [(event, 1) for event in events]
    dead = set()
    while waiting:
        event, attempt = waiting.pop(0)
        error = subject.answer(event)
        if error is not None:
            assert 400 <= status(error) < 600
            if attempt == ATTEMPTS:
                dead.add(event.id)
            else:
                waiting.append((event, attempt + 1))
    return dead


@settings(max_examples=1000)
@given(data=st.data())
def test_every_message_ends_in_one_of_a_result_or_a_failure(data: st.DataObject, clouds: Google) -> None:
    for topic in (RESULTS, FAILURES):
        clouds.pubsub.published[topic] = []
    drawn = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    events = [message(number, text_of(kind, number)) for number, kind in enumerate(drawn)]
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=2))
    api = Direct(clouds)
    failures = Topic(FAILURES, api) if data.draw(st.booleans()) else None
    subject = CloudRecords(service(FEATURES, predict, max_body_bytes=LIMIT), api, Topic(RESULTS, api), failures)
    dead = deliver(subject, data.draw(st.permutations([*events, *repeated])))
    results = {each["id"] for each in clouds.results()}
    failed = {attributes["id"] for _, attributes in clouds.published(FAILURES)} | dead
    assert results == {str(number) for number, kind in enumerate(drawn) if kind in GOOD}
    assert failed == {str(number) for number, kind in enumerate(drawn) if kind not in GOOD}


@settings(max_examples=1000)
@given(data=st.data())
def test_every_row_of_an_object_ends_in_one_of_a_result_or_a_failure(data: st.DataObject, clouds: Google) -> None:
    clouds.pubsub.published[FAILURES] = []
    clouds.gcs.buckets.objects("results").clear()
    drawn = data.draw(st.lists(st.sampled_from([*KINDS[:5], "good", "empty"]), max_size=8))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    content = end.join(text_of(kind, number) for number, kind in enumerate(drawn)).encode()
    event = clouds.stored(content)
    api = Direct(clouds)
    results, failures = Bucket("gs://results/out", api), Topic(FAILURES, api)
    subject = CloudRecords(service(FEATURES, predict, max_body_bytes=LIMIT), api, results, failures)
    assert deliver(subject, [event] * data.draw(st.integers(1, 3))) == set()
    found = [each["id"].rpartition("#")[2] for rows in clouds.objects().values() for each in rows]
    failed = {attributes["id"].rpartition("#")[2] for _, attributes in clouds.published(FAILURES)}
    assert found == [str(number) for number, kind in enumerate(drawn, 1) if kind in GOOD]
    assert failed == {str(number) for number, kind in enumerate(drawn, 1) if kind not in (*GOOD, "empty")}
    assert len(clouds.objects()) <= 1


def test_a_messages_result_has_its_id_its_topic_and_its_ordering_key(google: Google) -> None:
    event = message(7, "1,2,3", **{"Content-Type": "text/csv"})
    event.data["message"]["orderingKey"] = "customer-5"  # type: ignore[index]
    log = Records()
    assert google.records(RESULTS, log=log).answer(event) is None
    ((data, attributes),) = google.published(RESULTS)
    document = json.loads(data)
    assert (
        document.pop("result").items() >= {"prediction": "large", "model_name": "example", "model_version": 3}.items()
    )
    assert document == {"id": "7", "source": "rows", "key": "customer-5"}
    assert attributes == {"id": "7", "source": "rows"}
    (line,) = (each for each in log.all if isinstance(each, Scored))
    assert (line.request_id, line.source, line.records, line.failed, line.rows) == ("7", "rows", 1, 0, 1)


def test_a_redelivery_writes_an_object_once(google: Google) -> None:
    subject = google.records("gs://results/out/")
    assert [subject.answer(message(8, "1,2,3")) for _ in range(3)] == [None] * 3
    ((name, rows),) = google.objects().items()
    assert name == "out/rows/dt=2026-12-02/8.jsonl"
    assert [each["id"] for each in rows] == ["8"]
    (found,) = google.gcs.buckets.objects("results").values()
    assert found.generation == min(each.generation for each in google.gcs.buckets.objects("results").values())


def test_an_objects_rows_are_one_object_of_results_and_one_json_document_is_one_record(google: Google) -> None:
    subject = google.records("gs://results")
    event = google.stored(compress(b"1,2,3\r\n\r\n[0.25,2,3]\r\n"), "in/a b.jsonl.gz")
    document = google.stored(b'{\n "instances": [[1, 2, 3],\n [4, 5, 6]]\n}\n', "in/two.json")
    assert [subject.answer(each) for each in (event, document)] == [None, None]
    (first, rows), (_, (two,)) = google.objects().items()
    generation = event.data["generation"]  # type: ignore[index]
    assert first == f"data/dt=2026-12-02/in/a b.jsonl.gz.{generation}.jsonl"
    assert [each["id"] for each in rows] == [f"gs://data/in/a b.jsonl.gz#{generation}#{line}" for line in (1, 3)]
    assert [each["result"]["prediction"] for each in rows] == ["large", "small"]
    assert len(two["result"]["predictions"]) == 2


def test_results_in_the_bucket_of_the_objects_are_not_scored_again(google: Google) -> None:
    log = Records()
    subject = google.records("gs://data/results", log=log)
    assert subject.answer(google.stored(b"1,2,3\n", "results/data/dt=2026-12-02/a.1.jsonl")) is None
    assert [each.rows for each in log.all if isinstance(each, Scored)] == [0]
    assert list(google.gcs.buckets.objects("data")) == ["results/data/dt=2026-12-02/a.1.jsonl"]


def refused(subject: CloudRecords, event: Event) -> RequestError:
    error = subject.answer(event)
    assert error is not None
    return error


EXPECTED = f"expected {PUBLISHED} or {FINALIZED}"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event("1", "google.cloud.audit.log.v1.written", "//x", {}, {}), f"found an event of the type .*, {EXPECTED}"),
        (
            Event("1", PUBLISHED, "//x", {"message": {"data": "MQ=="}}, {}),
            r"lacks a field .*: KeyError\('message_id'\)",
        ),
        (Event("1", FINALIZED, "//x", {"bucket": "data"}, {}), r"lacks a field .*: KeyError\('name'\)"),
        (Event("1", PUBLISHED, "//x", None, {}), "lacks a field .*: TypeError"),
        (Event("1", PUBLISHED, "//x", {"message": {"data": "*", "messageId": "1"}}, {}), "data is not valid base64"),
    ],
)
def test_another_event_is_an_error_that_names_what_was_found(event: Event, expected: str, google: Google) -> None:
    error = refused(google.records(RESULTS), event)
    assert status(error) == 400
    with pytest.raises(RequestError, match=expected):
        raise error


def test_an_object_that_is_too_large_fails_and_names_the_command_for_it(google: Google) -> None:
    subject = google.records(RESULTS, FAILURES, limit=30)
    event = google.stored(b"1,2,3\n" * 6)
    assert subject.answer(event) is None
    event.data["size"] = "10"  # type: ignore[index]  # as of an object that is stored compressed
    assert subject.answer(event) is None
    assert subject.answer(google.stored(compress(b"1,2,3\n" * 9))) is None
    for data, attributes in google.published(FAILURES)[:2]:
        document = json.loads(data)
        assert document["key"] == "gs://data/in/rows.jsonl"
        assert document["id"] == f"gs://data/in/rows.jsonl#{event.data['generation']}"  # type: ignore[index]
        assert attributes["code"] == "too_large"
        assert "score it with `pilotlight batch`" in document["error"]["message"]
    assert [attributes["code"] for _, attributes in google.published(FAILURES)] == ["too_large"] * 3
    assert google.results() == []


def test_an_object_that_was_replaced_fails_for_good_and_one_that_cannot_be_read_comes_again(google: Google) -> None:
    subject = google.records(RESULTS)
    event = google.stored(b"1,2,3\n")
    google.gcs.inject(Fault("status", ("media",), status=403))
    assert status(refused(subject, event)) == 503
    google.stored(b"4,5,6\n")
    error = refused(subject, event)
    assert (status(error), error.code) == (404, "not_found")
    assert "was replaced or deleted" in error.message


def test_a_failure_carries_its_reason_the_models_version_and_the_message_as_it_was(google: Google) -> None:
    log = Records()
    subject = google.records(RESULTS, FAILURES, log)
    assert subject.answer(message(9, '{"features": [1, "x", 3]}', tenant="a")) is None
    ((data, attributes),) = google.published(FAILURES)
    assert attributes == {"id": "9", "source": "rows", "code": "invalid_request"}
    document = json.loads(data)
    assert document["payload"] == '{"features": [1, "x", 3]}'
    assert document["attributes"] == {"tenant": "a"}
    assert document["error"]["path"] == "$.features[1]"
    assert (document["id"], document["model_name"], document["model_version"]) == ("9", "example", 3)
    assert google.results() == []
    line = next(each for each in log.all if isinstance(each, Scored))
    assert (line.failed, line.rejected) == (0, 1)


def test_failures_may_be_objects_too_and_are_not_scored_again(google: Google) -> None:
    subject = google.records(RESULTS, "gs://results/bad")
    assert [subject.answer(message(9, "poison")) for _ in range(2)] == [None] * 2
    ((name, (failure,)),) = google.objects().items()
    assert (name, failure["payload"]) == ("bad/rows/dt=2026-12-02/9.jsonl", "poison")
    data = {"bucket": "results", "name": name, "generation": "1", "size": "9", "timeCreated": "2026-12-02T10:00:00Z"}
    assert subject.answer(Event("1", FINALIZED, "//x", data, {})) is None
    assert google.results() == []


@pytest.mark.parametrize("down", [RESULTS, FAILURES])
def test_a_destination_that_is_down_lets_the_event_come_again(down: str, google: Google) -> None:
    log = Records()
    subject = google.records(RESULTS, FAILURES, log)
    google.pubsub.down.add(down)
    event = message(1, "1,2,3" if down == RESULTS else "poison")
    error = refused(subject, event)
    assert (status(error), error.code) == (503, "destination")
    assert f"it could not be written: {down}: 503" in error.message
    (line,) = (each for each in log.all if isinstance(each, Scored))
    assert (line.failed, line.faults) == (1, 1)
    google.pubsub.down.clear()
    assert subject.answer(event) is None
    assert len(google.published(down)) == 1


def test_a_server_that_is_gone_or_refuses_to_write_lets_the_event_come_again(google: Google) -> None:
    subject = google.records("gs://results/out")
    google.gcs.inject(Fault("status", ("upload",), status=403))
    assert "gs://results/out: 403" in refused(subject, message(1, "1,2,3")).message
    with FakePubSub() as gone:
        destination = open_destination(RESULTS, {"PUBSUB_EMULATOR_HOST": gone.host})
    served = service(FEATURES, predict)
    subject = CloudRecords(served, google.storage(), destination, None)
    error = refused(subject, message(1, "1,2,3"))
    assert (status(error), error.code) == (503, "destination")


def test_a_403_about_an_object_that_exists_is_a_redelivery(google: Google) -> None:
    subject = google.records("gs://results/out")
    assert subject.answer(message(3, "1,2,3")) is None
    google.gcs.inject(Fault("status", ("upload",), status=403))
    assert subject.answer(message(3, "1,2,3")) is None


def test_what_the_model_does_not_answer_in_time_comes_again_as_a_whole(google: Google) -> None:
    subject = google.records("gs://results/out", FAILURES)
    subject._scorer.clock = lambda: 1e12
    error = refused(subject, google.stored(b"1,2,3\nnot for the model\n"))
    assert (status(error), error.code) == (503, "out_of_time")
    assert google.objects() == {}
    assert google.published(FAILURES) == []


@pytest.mark.parametrize("place", ["s3://bucket", "arn:aws:sqs:eu-west-1:123456789012:queue"])
def test_a_destination_of_another_cloud_is_named(place: str) -> None:
    with pytest.raises(SettingsError, match=f"found the destination '{place}'; on Google Cloud expected gs://"):
        open_destination(place, {})


def test_a_large_object_is_published_in_parts_within_pubsubs_limits(google: Google) -> None:
    subject = google.records(RESULTS, limit=100_000)
    assert subject.answer(google.stored(b"1,2,3\n" * 2500)) is None
    assert len(google.results()) == 2500


def test_the_table_for_bigquery_has_the_columns_that_pubsub_writes_and_its_data_takes_a_result(google: Google) -> None:
    """https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#bigqueryconfig, writeMetadata."""
    columns = {each["name"]: each["type"] for each in json.loads((ROOT / "deploy/gcp/results-table.json").read_bytes())}
    assert columns.pop("data") == "JSON"
    assert columns == {
        "subscription_name": "STRING",
        "message_id": "STRING",
        "publish_time": "TIMESTAMP",
        "attributes": "JSON",
    }
    assert google.records(RESULTS).answer(message(1, "1,2,3")) is None
    assert isinstance(google.results()[0]["result"], dict)


def test_a_connection_that_the_server_closed_meanwhile_is_made_again() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        api = GoogleApi(Address(tls=False, host="127.0.0.1", port=server.getsockname()[1]), None)
        found = [api.call(Call("GET", "/"), time.monotonic() + 60) for _ in range(2)]
        thread.join()
        api.close()
    assert found == [Reply(200, b"{}")] * 2


def test_no_call_begins_after_the_deadline() -> None:
    api = GoogleApi(Address(tls=False, host="127.0.0.1", port=1), None)
    with pytest.raises(StoreUnavailable, match=r"no time was left for 127\.0\.0\.1"):
        api.call(Call("GET", "/"), time.monotonic() - 1)
