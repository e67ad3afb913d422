from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doubles import StepClock, fetched
from gcs_store import GcsStore
from metadata_token import TokenSource
from pilotlight.errors import ObjectRefused, PilotlightError, StoreUnavailable
from pilotlight.fetch import UseSdk
from pilotlight.fetch.download import Partial
from pilotlight.model.lock import File
from servers import certificates
from servers.fake_gcs import FakeGcs, Fault
from servers.metadata_server import TOKEN, MetadataServer

CONTENT = bytes(range(256)) * 500


@pytest.fixture
def server() -> Iterator[MetadataServer]:
    with MetadataServer() as found:
        yield found


def ask(source: TokenSource, timeout: float = 60.0) -> str:
    asked = source.request(timeout)
    try:
        return asked.token(timeout)
    finally:
        asked.close()


def test_a_token_is_asked_for_once_and_kept_until_it_nears_its_end(server: MetadataServer) -> None:
    clock = StepClock()
    source = TokenSource(server.host, clock)
    assert [ask(source) for _ in range(3)] == ["a-token"] * 3
    assert server.requests == [TOKEN]
    server.manner.token = "another"
    clock.sleep(server.manner.expires_in - 600)
    assert ask(source) == "a-token"
    clock.sleep(400)
    assert ask(source) == "another"
    assert server.requests == [TOKEN] * 2


def test_a_token_that_nears_its_end_already_serves_once(server: MetadataServer) -> None:
    server.manner.expires_in = 30
    source = TokenSource(server.host, StepClock())
    assert [ask(source), ask(source)] == ["a-token"] * 2
    assert server.requests == [TOKEN] * 2


def test_a_slow_server_is_waited_for(server: MetadataServer) -> None:
    server.manner.delay = 0.3
    assert ask(TokenSource(server.host, StepClock())) == "a-token"


@pytest.mark.parametrize(
    ("manner", "kind", "message"),
    [
        ({"status": 404}, ObjectRefused, "has no token .404.: the function needs a service account"),
        ({"status": 403}, ObjectRefused, "has no token .403."),
        ({"status": 500}, StoreUnavailable, "expected a token from the metadata server, found status 500"),
        ({"status": 429}, StoreUnavailable, "expected a token from the metadata server, found status 429"),
        ({"flavor": "Other"}, StoreUnavailable, "is not the metadata server"),
        ({"content": b"<html>"}, StoreUnavailable, "found something else"),
        ({"content": b'{"access_token": "x"}'}, StoreUnavailable, "found something else"),
        ({"content": b'["x"]'}, StoreUnavailable, "found something else"),
        (
            {"content": b'{"access_token": "x\\r\\ny", "expires_in": 9}'},
            StoreUnavailable,
            "a header cannot contain",
        ),
    ],
)
def test_whatever_else_it_answers_is_told_and_not_used(
    manner: dict[str, object], kind: type[PilotlightError], message: str, server: MetadataServer
) -> None:
    for name, value in manner.items():
        setattr(server.manner, name, value)
    with pytest.raises(kind, match=message):
        ask(TokenSource(server.host, StepClock()))


def test_an_answer_that_does_not_come_is_not_waited_for(server: MetadataServer) -> None:
    server.manner.delay = 3600
    with pytest.raises(StoreUnavailable, match="timed out"):
        ask(TokenSource(server.host, StepClock()), timeout=0.3)


def test_a_server_that_is_not_there_is_told_with_what_helps_elsewhere(closed_port: int) -> None:
    source = TokenSource(f"127.0.0.1:{closed_port}", StepClock())
    with pytest.raises(StoreUnavailable, match="ConnectionRefused.*GOOGLE_APPLICATION_CREDENTIALS"):
        ask(source)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def gcs(tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """Yield a Cloud Storage behind TLS that lets in whoever brings the token."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    with FakeGcs("models", tls=tls[0], tokens={"a-token"}) as fake:
        fake.put("models", "example/3/model.onnx", CONTENT)
        yield fake


@pytest.fixture
def plain(gcs: FakeGcs, server: MetadataServer, tmp_path: Path) -> Callable[[], bytes]:
    """Return a function that fetches the model through one store at every call."""
    environ = {"API_ENDPOINT_OVERRIDE": gcs.url, "GCE_METADATA_HOST": server.host, "HOME": str(tmp_path)}
    store = GcsStore("gs://models", environ, warn=lambda _: None)
    folders = (tmp_path / str(number) for number in itertools.count())
    return lambda: fetched(store, next(folders), CONTENT)


def test_objects_are_fetched_with_one_token_and_one_request_each(
    plain: Callable[[], bytes], gcs: FakeGcs, server: MetadataServer
) -> None:
    assert [plain(), plain()] == [CONTENT] * 2
    assert server.requests == [TOKEN]
    assert gcs.requests == ["GET /storage/v1/b/models/o/example%2F3%2Fmodel.onnx?alt=media"] * 2


def test_a_body_that_breaks_off_is_read_on_with_the_same_token(
    plain: Callable[[], bytes], gcs: FakeGcs, server: MetadataServer
) -> None:
    gcs.inject(Fault("reset", on=("media",), after=1000))
    assert plain() == CONTENT
    assert server.requests == [TOKEN]


def test_a_token_that_is_not_taken_any_more_is_asked_for_anew(
    plain: Callable[[], bytes], gcs: FakeGcs, server: MetadataServer
) -> None:
    assert plain() == CONTENT
    gcs.tokens = {"another"}
    server.manner.token = "another"
    with pytest.raises(StoreUnavailable, match="401 Invalid Credentials"):
        plain()
    assert plain() == CONTENT


def test_a_store_whose_certificate_is_not_trusted_gets_no_token(
    gcs: FakeGcs, server: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    environ = {"API_ENDPOINT_OVERRIDE": gcs.url, "GCE_METADATA_HOST": server.host, "HOME": str(tmp_path)}
    partial = Partial(tmp_path, File("model.onnx", len(CONTENT), ""))
    with pytest.raises(UseSdk, match="certificate verify failed"):
        GcsStore("gs://models", environ).fetch("example/3/model.onnx", partial.begin(lambda: None), 60.0)
    assert gcs.requests == []
