"""The function for records under functions-framework, with real CloudEvents and deliveries of Pub/Sub."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.pubsub import FakePubSub
from harness import Pinned, records_in_functions_framework, sample
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.process import ServeError, free_port
from pilotlight_cli.local.stores import EmbeddedStore
from repository import EVENTS, SAMPLE
from servers import certificates
from servers.fake_gcs import FakeGcs
from servers.metadata_server import MetadataServer
from waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
GOOD = json.dumps({"features": [1.0] * 30})
FILES = {file.stem: json.loads(file.read_bytes()) for file in (EVENTS / "google").glob("*.json")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs("models", "rows-bucket", "results") as found:
        found.put("models", "breast-cancer/1/model.onnx", (SAMPLE / "model.onnx").read_bytes())
        yield found


@pytest.fixture(scope="module")
def store(gcs: FakeGcs) -> EmbeddedStore:
    return EmbeddedStore("gs://models", {"STORAGE_EMULATOR_HOST": gcs.url})


@pytest.fixture(scope="module")
def function(model: Pinned, store: EmbeddedStore) -> Iterator[FunctionsRuntime]:
    with records_in_functions_framework(model, store, "gs://results/out") as runtime:
        yield runtime


@pytest.fixture(autouse=True)
def no_results(gcs: FakeGcs) -> None:
    gcs.buckets.objects("results").clear()


def post(runtime: FunctionsRuntime, event: Any, mode: str = "structured", **headers: str) -> requests.Response:
    """Send an event in one of the two modes of HTTP: https://github.com/cloudevents/spec, HTTP protocol binding, 3."""
    if mode == "structured":
        sent = {"Content-Type": "application/cloudevents+json", **headers}
        return requests.post(runtime.url, json.dumps(event), headers=sent, timeout=60)
    told = {f"ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return requests.post(runtime.url, json=event["data"], headers=told | headers, timeout=60)


def results(gcs: FakeGcs) -> list[dict[str, Any]]:
    found = gcs.buckets.objects("results").values()
    return [json.loads(line) for each in found for line in each.content.splitlines()]


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("name", ["pubsub", "storage"])
def test_the_real_events_of_each_source_get_the_sample_requests_answer(
    name: str, mode: str, function: FunctionsRuntime, gcs: FakeGcs
) -> None:
    event = json.loads(json.dumps(FILES[name]))
    if name == "storage":
        rows = b64decode(FILES["pubsub"]["data"]["message"]["data"]) + b"\n"
        event["data"]["generation"] = str(gcs.put("rows-bucket", event["data"]["name"], rows))
    for _ in range(2):  # a redelivery too
        reply = post(function, event, mode, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
        assert (reply.status_code, reply.text) == (200, "OK")
    (found,) = results(gcs)
    assert (found["result"]["prediction"], found["result"]["model_version"]) == ("malignant", 1)
    expected = {
        "pubsub": {"id": event["id"], "source": "rows", "key": "patient-7"},
        "storage": {"id": f"gs://rows-bucket/incoming/rows.jsonl#{event['data'].get('generation')}#1"},
    }[name]
    assert found.items() >= expected.items()
    line = function.log.wait_for("records", 60)
    assert line is not None
    assert line["severity"] == "INFO"
    assert line["logging.googleapis.com/trace"] == TRACE


def test_pubsubs_own_push_needs_no_cloudevent_and_a_cloudevent_no_subscription(
    function: FunctionsRuntime, gcs: FakeGcs
) -> None:
    push, event = FILES["pubsub-push"], json.loads(json.dumps(FILES["pubsub"]))
    del event["data"]["subscription"]
    assert requests.post(function.url, json=push, timeout=60).status_code == 200
    assert post(function, event).status_code == 200
    found = {each["id"]: each["source"] for each in results(gcs)}
    assert found == {push["message"]["messageId"]: "", event["id"]: "rows"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"type": "google.cloud.audit.log.v1.written"},
            'found an event of the type "google.cloud.audit.log.v1.written',
        ),
        ({"data": {"message": {}}}, "the event lacks a field"),
        ({"data": {"message": {"data": b64encode(b"[1]").decode()}}}, "expected 30"),
    ],
)
def test_what_can_never_be_scored_is_refused_with_its_reason(
    change: dict[str, Any], message: str, function: FunctionsRuntime, gcs: FakeGcs
) -> None:
    event = json.loads(json.dumps(FILES["pubsub"])) | change
    if "data" in change and change["data"]["message"]:
        event["data"]["message"] |= {"messageId": "5", "publishTime": event["time"]}
    reply = post(function, event)
    assert reply.status_code == 400
    document = reply.json()
    assert (document["code"], document["request_id"]) == ("invalid_request", event["id"])
    assert message in document["error"]
    assert results(gcs) == []


def test_what_is_no_event_is_refused(function: FunctionsRuntime) -> None:
    assert requests.post(function.url, json={"hello": "world"}, timeout=60).status_code == 400
    assert requests.get(function.url, timeout=60).status_code == 405


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("", "PILOTLIGHT_RESULTS is missing"),
        ("s3://bucket", "on Google Cloud expected gs://bucket/prefix"),
        ("queue", "PILOTLIGHT_RESULTS is 'queue'; expected"),
    ],
)
def test_a_start_without_a_destination_of_this_cloud_fails(
    place: str, expected: str, model: Pinned, store: EmbeddedStore
) -> None:
    with pytest.raises(ServeError, match=expected), records_in_functions_framework(model, store, place):
        pass


def test_it_calls_the_apis_over_tls_as_its_own_service_account(model: Pinned, tmp_path: Path) -> None:
    tls, bundle = certificates.make(tmp_path)
    with FakeGcs("models", "results", tls=tls, tokens={"a-token"}) as gcs, MetadataServer() as metadata:
        gcs.put("models", "breast-cancer/1/model.onnx", (SAMPLE / "model.onnx").read_bytes())
        environ = {
            "API_ENDPOINT_OVERRIDE": gcs.url,
            "GCE_METADATA_HOST": metadata.host,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "HOME": str(tmp_path),
            "SSL_CERT_FILE": str(bundle),
        }
        with records_in_functions_framework(model, EmbeddedStore("gs://models", environ), "gs://results") as runtime:
            assert post(runtime, FILES["pubsub"]).status_code == 200
            assert len(results(gcs)) == 1
            gcs.tokens = {"another"}
            assert post(runtime, FILES["pubsub"]).status_code == 503


class Api:
    """Pub/Sub by its REST API, of the stand-in or of Google's own emulator, in a project of its own."""

    def __init__(self, host: str) -> None:
        self.host = host

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = requests.request(method, f"http://{self.host}/v1/projects/mine/{path}", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()  # type: ignore[no-any-return]

    def topic(self, name: str) -> str:
        self.call("PUT", f"topics/{name}", {})
        self.call("PUT", f"subscriptions/{name}-pull", {"topic": f"projects/mine/topics/{name}"})
        return f"projects/mine/topics/{name}"

    def publish(self, topic: str, text: str, **attributes: str) -> str:
        message = {"data": b64encode(text.encode()).decode(), "attributes": attributes}
        (found,) = self.call("POST", f"topics/{topic}:publish", {"messages": [message]})["messageIds"]
        return str(found)

    def pull(self, topic: str, most: int) -> list[dict[str, Any]]:
        """Return the next messages, once there are so many."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            name = f"subscriptions/{topic}-pull"
            received = self.call("POST", f"{name}:pull", {"maxMessages": 100, "returnImmediately": True})
            if received.get("receivedMessages"):
                self.call(
                    "POST", f"{name}:acknowledge", {"ackIds": [each["ackId"] for each in received["receivedMessages"]]}
                )
                found.extend(each["message"] for each in received["receivedMessages"])
            return len(found) >= most

        wait_until(enough, 120)
        return found


def emulator_jar() -> Path | None:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    root = Path(gcloud).resolve().parents[1]
    return next(iter(sorted(root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))), None)


@contextmanager
def emulator(jar: Path, folder: Path) -> Iterator[str]:
    """Run Google's own emulator; yield its host and port."""
    port = free_port()
    command = ["java", "-Xmx256m", "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"]
    with (folder / "emulator.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}"), 120)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module", params=["stand-in", "emulator"])
def pubsub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if request.param == "stand-in":
        with FakePubSub() as found:
            yield Api(found.host)
        return
    jar = emulator_jar()
    if jar is None:
        pytest.skip("gcloud's Pub/Sub emulator is not on this machine: only the stand-in was used")
    with emulator(jar, tmp_path_factory.mktemp("emulator")) as host:
        yield Api(host)


def test_a_pushed_message_ends_in_the_results_or_the_dead_letter_topic(
    pubsub: Api, model: Pinned, store: EmbeddedStore
) -> None:
    rows, found, dead = (pubsub.topic(name) for name in ("rows", "results", "dead"))
    environ = {"PUBSUB_EMULATOR_HOST": pubsub.host}
    with records_in_functions_framework(model, store, found, **environ) as runtime:
        policy = {"deadLetterTopic": dead, "maxDeliveryAttempts": 5}
        push = {"topic": rows, "pushConfig": {"pushEndpoint": runtime.url}, "deadLetterPolicy": policy}
        pubsub.call("PUT", "subscriptions/rows-push", push)
        good = [pubsub.publish("rows", GOOD) for _ in range(5)]
        poison = [pubsub.publish("rows", f"not for the model {number}", tenant="a") for number in range(2)]
        answered = pubsub.pull("results", len(good))
        letters = pubsub.pull("dead", len(poison))
    assert sorted(json.loads(b64decode(each["data"]))["id"] for each in answered) == sorted(good)
    assert sorted(b64decode(each["data"])[-1:] for each in letters) == [b"0", b"1"]
    assert {each["attributes"]["CloudPubSubDeadLetterSourceDeliveryCount"] for each in letters} == {"5"}


def test_with_a_topic_for_failures_a_poison_message_goes_there_at_once_with_its_reason(
    pubsub: Api, model: Pinned, store: EmbeddedStore
) -> None:
    rows, found, failures = (pubsub.topic(f"second-{name}") for name in ("rows", "results", "failures"))
    environ = {"PUBSUB_EMULATOR_HOST": pubsub.host, "PILOTLIGHT_FAILURES": failures}
    with records_in_functions_framework(model, store, found, **environ) as runtime:
        push = {"topic": rows, "pushConfig": {"pushEndpoint": runtime.url}}
        pubsub.call("PUT", "subscriptions/second-rows-push", push)
        good, poison = pubsub.publish("second-rows", GOOD), pubsub.publish("second-rows", "poison", tenant="a")
        (answered,) = pubsub.pull("second-results", 1)
        (failure,) = pubsub.pull("second-failures", 1)
    assert json.loads(b64decode(answered["data"]))["id"] == good
    document = json.loads(b64decode(failure["data"]))
    assert (document["id"], document["payload"], document["attributes"]) == (poison, "poison", {"tenant": "a"})
    assert (document["model_name"], document["model_version"]) == ("breast-cancer", 1)
    assert document["code_version"] == "pilotlight-00001-local"
    assert failure["attributes"]["code"] == "invalid_request"
