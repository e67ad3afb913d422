"""The Cloud Run service through the Admin API, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.cloud_run import PROJECT, REGION, RunService, Target, as_v2, patch_v2
from fakes.google_cloud import FakeGoogle, Trouble
from pilotlight_cli.gcp import Conflict, GcpError, NotFound, Unavailable
from pilotlight_cli.gcp.api import Api
from pilotlight_cli.gcp.services import Service, Services, Share

OLD, NEW = "predict-00001-abc", "predict-00002-abc"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    """Yield a fake with a service of two revisions."""
    with FakeGoogle() as fake:
        monkeypatch.setenv("http_proxy", fake.proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        service = fake.service("predict")
        service.deploy()
        service.send(Target(OLD, 100), Target(percent=0, tag="newest"))
        service.deploy()
        yield fake


@pytest.fixture
def service(google: FakeGoogle) -> RunService:
    return google.service("predict")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def services(google: FakeGoogle, pauses: list[float]) -> Iterator[Services]:
    api = Api("http://run.test/", lambda fresh: "fresh" if fresh else "kept", sleep=pauses.append)
    yield Services(api, PROJECT, REGION, clock=lambda: 0.0, sleep=pauses.append)
    api.close()


def test_a_service_is_read_with_short_names(services: Services) -> None:
    found = services.read("predict")
    assert found == Service(
        name="predict",
        uri="http://predict.run.example",
        etag=found.etag,
        annotations={},
        traffic=(Share(OLD, 100), Share("", 0, "newest")),
        created=NEW,
        latest=NEW,
        tags={"newest": "http://newest---predict.run.example"},
    )
    assert found.split == {OLD: 100}
    assert found.pinned


def test_what_goes_to_the_latest_counts_for_the_newest_that_is_ready(services: Services, service: RunService) -> None:
    service.send(Target(percent=90), Target(NEW, 10))
    service.deploy(ready=False)
    found = services.read("predict")
    assert (found.created, found.latest) == ("predict-00003-abc", NEW)
    assert found.split == {NEW: 100}
    assert not found.pinned


def test_traffic_and_annotations_are_written_together_and_nothing_else(services: Services, google: FakeGoogle) -> None:
    seen = services.read("predict")
    found = services.write(
        seen, {"a/b": "c"}, (Share(OLD, 90), Share(NEW, 10), Share(NEW, 0, "canary"), Share("", 0, "x"))
    )
    assert found.split == {OLD: 90, NEW: 10}
    assert found.annotations == {"a/b": "c"}
    [patch] = google.called("PATCH", "run.test")
    path = f"projects/{PROJECT}/locations/{REGION}/services/predict"
    assert patch.path == f"/v2/{path}"
    assert patch.query == {"updateMask": "annotations,traffic"}
    assert patch.document == {
        "name": path,
        "etag": seen.etag,
        "annotations": {"a/b": "c"},
        "traffic": [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": OLD, "percent": 90},
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": NEW, "percent": 10},
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": NEW, "tag": "canary"},
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "tag": "x"},
        ],
    }
    assert google.called("GET", "run.test", "/operations/")


def test_a_write_from_an_older_state_is_a_conflict(services: Services, service: RunService) -> None:
    seen = services.read("predict")
    service.send(Target(NEW, 100))
    with pytest.raises(Conflict, match="the service predict was changed by somebody else in the meantime"):
        services.write(seen, {}, (Share(OLD, 100),))
    assert service.split == {NEW: 100}


@pytest.mark.parametrize("lost", [True, False])
def test_a_write_whose_answer_did_not_come_is_looked_for_and_then_sent_again(
    lost: bool, services: Services, google: FakeGoogle, pauses: list[float]
) -> None:
    seen = services.read("predict")
    google.troubles.append(Trouble("PATCH", "run.test", lost=lost))
    assert services.write(seen, {}, (Share(NEW, 100),)).split == {NEW: 100}
    assert len(google.called("PATCH", "run.test")) == (1 if lost else 2)


@pytest.mark.parametrize("lost", [True, False])
def test_a_note_alone_whose_answer_did_not_come_is_looked_for_too(
    lost: bool, services: Services, google: FakeGoogle
) -> None:
    seen = services.read("predict")
    google.troubles.append(Trouble("PATCH", "run.test", lost=lost))
    assert services.write(seen, {"a/b": "c"}, seen.traffic).annotations == {"a/b": "c"}
    assert len(google.called("PATCH", "run.test")) == (1 if lost else 2)


class Ending:
    """The Admin API on a service, where the first write ends with an error of this code."""

    def __init__(self, service: RunService, code: int) -> None:
        self.service = service
        self.errors = [{"code": code, "message": "injected"}]

    def get(self, path: str) -> dict[str, Any]:
        return as_v2(self.service)

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        if self.errors:
            return {"done": True, "error": self.errors.pop()}
        patch_v2(self.service, document, path.partition("updateMask=")[2])
        return {"done": True}


def ending(service: RunService, code: int) -> Services:
    return Services(Ending(service, code), PROJECT, REGION, clock=lambda: 0.0, sleep=lambda _: None)


def test_a_write_that_cloud_run_aborted_is_sent_again(service: RunService) -> None:
    services = ending(service, 10)
    assert services.write(services.read("predict"), {}, (Share(NEW, 100),)).split == {NEW: 100}


def test_a_write_that_ended_badly_otherwise_is_an_error(service: RunService) -> None:
    services = ending(service, 9)
    with pytest.raises(GcpError, match="Cloud Run did not change the traffic: injected"):
        services.write(services.read("predict"), {}, (Share(NEW, 100),))
    assert service.split == {OLD: 100}


def test_a_write_that_never_gets_through_ends_with_the_answer(services: Services, google: FakeGoogle) -> None:
    seen = services.read("predict")
    google.troubles += [Trouble("PATCH", "run.test")] * 9
    with pytest.raises(Unavailable, match=r"PATCH http://run.test/v2/.*/services/predict returned 503: injected"):
        services.write(seen, {}, (Share(NEW, 100),))


def test_a_question_is_asked_again_with_growing_pauses(
    services: Services, google: FakeGoogle, pauses: list[float]
) -> None:
    google.troubles += [Trouble("GET", "run.test", status=429), Trouble("GET", "run.test", lost=True)]
    assert services.read("predict").split == {OLD: 100}
    assert pauses == [1.0, 3.0]


def test_a_question_that_never_gets_an_answer_is_an_error(services: Services, google: FakeGoogle) -> None:
    google.troubles += [Trouble("GET", "run.test", lost=True)] * 4
    with pytest.raises(Unavailable, match=r"GET http://run.test/.*: no response"):
        services.read("predict")


def test_a_token_that_is_over_is_replaced_once(services: Services, google: FakeGoogle) -> None:
    google.troubles.append(Trouble("GET", "run.test", status=401))
    services.read("predict")
    tokens = [asked.headers["authorization"] for asked in google.called("GET", "run.test")]
    assert tokens == ["Bearer kept", "Bearer fresh"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, NotFound, r"not found \(404: injected\)"),
        (403, GcpError, r"permission denied \(403: injected\); deploy/gcp/setup.sh"),
        (400, GcpError, "returned 400: injected"),
    ],
)
def test_other_answers_are_errors_at_once(
    status: int, error: type[GcpError], words: str, services: Services, google: FakeGoogle
) -> None:
    google.troubles.append(Trouble("GET", "run.test", status=status))
    with pytest.raises(error, match=words):
        services.read("predict")
    assert len(google.called("GET", "run.test")) == 1


def test_a_revision_that_cannot_serve_gets_nothing(services: Services, service: RunService) -> None:
    broken = service.deploy(ready=False)
    with pytest.raises(GcpError, match="is not ready and cannot serve traffic"):
        services.write(services.read("predict"), {}, (Share(broken, 100),))
    assert service.split == {OLD: 100}
