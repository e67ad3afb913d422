from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import requests

from pilotlight_cli.local.stores import EmbeddedStore, acting_in, embedded_store
from pilotlight_cli.stores import open_store


@pytest.fixture(params=["aws", "gcp"])
def embedded(request: pytest.FixtureRequest) -> Iterator[EmbeddedStore]:
    with embedded_store(request.param) as found:
        yield found


def endpoint(store: EmbeddedStore) -> str:
    return next(value for value in store.environ.values() if value.startswith("http://"))


def test_an_embedded_store_keeps_what_the_commands_client_writes(embedded: EmbeddedStore) -> None:
    with acting_in(embedded.environ):
        store = open_store(embedded.url)
        store.create("model/1/model.onnx", b"content")

        assert list(store.keys("")) == ["model/1/model.onnx"]
        assert store.read("model/1/model.onnx") == b"content"


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_two_embedded_stores_share_nothing(cloud: str) -> None:
    with embedded_store(cloud) as one, embedded_store(cloud) as other:
        with acting_in(one.environ):
            open_store(one.url).create("model/1/manifest.json", b"{}")
        with acting_in(other.environ):
            assert list(open_store(other.url).keys("")) == []


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_nothing_answers_when_a_store_is_closed(cloud: str) -> None:
    with embedded_store(cloud) as store:
        assert requests.get(endpoint(store), timeout=60).status_code
    with pytest.raises(requests.ConnectionError):
        requests.get(endpoint(store), timeout=60)


def test_a_store_writes_nothing(embedded: EmbeddedStore, capfd: pytest.CaptureFixture[str]) -> None:
    with acting_in(embedded.environ):
        open_store(embedded.url).create("a/1/b", b"")
    requests.get(f"{endpoint(embedded)}/nonsense", timeout=60)

    assert capfd.readouterr() == ("", "")


def test_an_embedded_store_is_reached_whatever_the_developer_has_set(
    embedded: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none-such")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/none/such.json")
    with acting_in(embedded.environ):
        open_store(embedded.url).create("a/1/b", b"")
        assert "AWS_PROFILE" not in os.environ
        assert "HTTP_PROXY" not in os.environ

    assert os.environ["AWS_PROFILE"] == "none-such"


def test_acting_in_leaves_the_environment_as_it_was() -> None:
    ours = {"PATH": "/bin", "AWS_REGION": "here", "STORAGE_EMULATOR_HOST": "http://x", "OTHER": "1"}
    with acting_in({"AWS_REGION": "there", "PATH": "/sbin", "NEW": "1"}, ours):
        assert ours == {"AWS_REGION": "there", "PATH": "/sbin", "NEW": "1", "OTHER": "1"}

    assert ours == {"PATH": "/bin", "AWS_REGION": "here", "STORAGE_EMULATOR_HOST": "http://x", "OTHER": "1"}
