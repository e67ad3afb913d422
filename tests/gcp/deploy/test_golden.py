"""The golden samples, sent to a revision at its tag's URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fakes.cloud_run import Target
from fakes.google_cloud import Backend, FakeGoogle, identity_token
from gcp.deploy.answers import another_version, broken, liar, publisher
from pilotlight_cli.gcp.golden import Caller, Expected, expected_of
from repository import LOCK

OLD, NEW = "predict-00001-abc", "predict-00002-abc"
URI = "http://predict.run.example"


@pytest.fixture(scope="module")
def expected() -> Expected:
    """Return the sample's, which the repository's lock pins."""
    return expected_of(LOCK)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, expected: Expected) -> Iterator[FakeGoogle]:
    """Yield a service with a new revision behind a tag."""
    with FakeGoogle() as fake:
        monkeypatch.setenv("http_proxy", fake.proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        service = fake.service("predict")
        service.deploy()
        service.deploy()
        service.send(Target(OLD, 100), Target(NEW, tag="canary"))
        fake.backends = {OLD: broken, NEW: publisher(expected)}
        yield fake


@pytest.fixture
def check(expected: Expected) -> Callable[..., tuple[int, list[str]]]:
    """Return a function that sends the samples; its waits take no time."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def send(audience: str = URI) -> tuple[int, list[str]]:
        caller = Caller(lambda: identity_token(audience), lambda: now, sleep)
        return caller.check("http://canary---predict.run.example", expected, "10-120000")

    return send


Check = Callable[..., tuple[int, list[str]]]


def test_samples_that_agree_leave_nothing_to_say(check: Check, google: FakeGoogle, expected: Expected) -> None:
    assert check() == (len(expected.golden.samples), [])


def test_they_carry_the_callers_identity_and_the_mark_by_which_the_log_knows_them(
    check: Check, google: FakeGoogle, expected: Expected
) -> None:
    check()
    ready, *samples = google.called("GET", "run.example") + google.called("POST", "run.example")
    assert ready.headers["user-agent"] == "pilotlight-golden/start-10-120000"
    assert {asked.headers["user-agent"] for asked in samples} == {"pilotlight-golden/10-120000"}
    assert {asked.host for asked in samples} == {"canary---predict.run.example"}
    assert {asked.headers["authorization"] for asked in samples} == {f"Bearer {identity_token(URI)}"}
    assert len(samples) == len(expected.golden.samples)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (liar, "golden sample 1: the response differs from the published one: output 'probabilities', value 0: found "),
        (another_version, "golden sample 1: response from breast-cancer:7, expected breast-cancer:1"),
    ],
)
def test_answers_that_are_not_the_publishers_are_named(
    backend: Callable[[Expected], Backend], words: str, check: Check, google: FakeGoogle, expected: Expected
) -> None:
    google.backends[NEW] = backend(expected)
    _, wrong = check()
    assert words in wrong[0]
    assert len(wrong) <= 4


def test_a_revision_that_never_gets_ready_is_given_up(check: Check, google: FakeGoogle) -> None:
    google.backends[NEW] = broken
    answered, [wrong] = check()
    assert answered == 0
    assert "/health/ready: status 503 after 180 s: the model is not ready" in wrong


def test_a_revision_that_gets_ready_late_is_waited_for(check: Check, google: FakeGoogle, expected: Expected) -> None:
    starting = 3

    def late(method: str, path: str, body: bytes) -> tuple[int, object]:
        nonlocal starting
        starting -= 1
        return (503, {}) if starting > 0 else publisher(expected)(method, path, body)

    google.backends[NEW] = late
    assert check() == (len(expected.golden.samples), [])


def test_a_token_for_something_else_is_refused_by_the_platform(check: Check, google: FakeGoogle) -> None:
    answered, [wrong] = check("http://canary---predict.run.example")
    assert answered == 0
    assert "status 401 after 180 s: the token is for" in wrong


def test_a_failing_sample_is_named_with_its_status(check: Check, google: FakeGoogle, expected: Expected) -> None:
    def failing(method: str, path: str, body: bytes) -> tuple[int, object]:
        return publisher(expected)(method, path, body) if method == "GET" else (403, {"error": "no"})

    google.backends[NEW] = failing
    answered, wrong = check()
    assert answered == len(expected.golden.samples)
    assert wrong[0].startswith("golden sample 1: status 403, expected 200: the caller needs roles/run.invoker")
    assert wrong[0].endswith(": no")
