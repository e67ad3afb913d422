"""The function's Cloud Storage store, by both its ways, against the fake that knows Cloud Storage's rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from doubles import fetched
from gcs_store import GcsStore
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from servers.fake_gcs import FakeGcs, Fault

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def gcs(fake_gcs: FakeGcs) -> FakeGcs:
    fake_gcs.put("models", "team/example/3/model.onnx", CONTENT)
    return fake_gcs


@pytest.fixture(params=["plain", "client"])
def environ(request: pytest.FixtureRequest, gcs: FakeGcs) -> dict[str, str]:
    """Return an environment that decides the store's way: with a proxy it uses Google's client."""
    return {"STORAGE_EMULATOR_HOST": gcs.url} if request.param == "plain" else {"https_proxy": "http://a.proxy"}


class Warnings(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


def is_plain(environ: dict[str, str]) -> bool:
    """Whether a store in that environment asks by itself."""
    return GcsStore("gs://models", environ)._address is not None


Fetch = Callable[..., bytes]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    def fetch(url: str, environ: dict[str, str], warn: Warnings | None = None, timeout: float = 60.0) -> bytes:
        store = GcsStore(url, environ, warn=Warnings() if warn is None else warn)
        return fetched(store, tmp_path, CONTENT, timeout)

    return fetch


def test_an_object_below_the_prefix_comes_through_byte_for_byte(environ: dict[str, str], fetch: Fetch) -> None:
    assert fetch("gs://models/team", environ) == CONTENT


def test_a_missing_object_is_refused_with_both_possible_causes(environ: dict[str, str], fetch: Fetch) -> None:
    with pytest.raises(ObjectRefused, match=r"gs://models/other/example/3/model.onnx: 404.*storage.objects.get"):
        fetch("gs://models/other", environ)


def test_an_account_without_the_permission_is_refused(environ: dict[str, str], gcs: FakeGcs, fetch: Fetch) -> None:
    gcs.inject(Fault("status", on=("media",), status=403))
    with pytest.raises(ObjectRefused, match="403"):
        fetch("gs://models/team", environ)


PASSING = [
    *(Fault("status", on=("media",), status=status) for status in (408, 429, 500, 503)),
    *(Fault(kind, on=("media",)) for kind in ("lost", "nonsense", "reset", "truncated")),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_what_may_pass_is_told_apart_from_what_will_not(
    fault: Fault, environ: dict[str, str], gcs: FakeGcs, fetch: Fetch
) -> None:
    gcs.inject(fault)
    with pytest.raises(StoreUnavailable, match="gs://models/team/example/3/model.onnx"):
        fetch("gs://models/team", environ)
    assert fetch("gs://models/team", environ) == CONTENT


@pytest.mark.parametrize("kind", ["drip", "stall", "endless"])
def test_whatever_takes_too_long_is_not_waited_for(
    kind: Literal["drip", "stall", "endless"], environ: dict[str, str], gcs: FakeGcs, fetch: Fetch
) -> None:
    gcs.inject(Fault(kind, on=("media",)), times=100)
    with pytest.raises(StoreUnavailable, match="timed out|did not deliver within"):
        fetch("gs://models/team", environ, timeout=0.5)


@pytest.mark.parametrize("way", ["plain", "client"])
def test_a_store_that_cannot_be_reached_may_come_back(
    way: str, closed_port: int, monkeypatch: pytest.MonkeyPatch, fetch: Fetch
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    environ = {"STORAGE_EMULATOR_HOST": url} if way == "plain" else {"all_proxy": "http://a.proxy"}
    with pytest.raises(StoreUnavailable, match="gs://models/team"):
        fetch("gs://models/team", environ)


def test_a_request_that_cloud_storage_finds_wrong_will_never_work(
    environ: dict[str, str], gcs: FakeGcs, fetch: Fetch
) -> None:
    gcs.inject(Fault("status", on=("media",), status=400), times=2)
    with pytest.raises(StoreError, match="gs://models/team/example/3/model.onnx: 400") as caught:
        fetch("gs://models/team", environ)
    assert type(caught.value) is StoreError


def test_what_a_plain_get_cannot_handle_is_left_to_googles_client_and_told(gcs: FakeGcs, fetch: Fetch) -> None:
    place = f"{gcs.url}/storage/v1/b/models/o/team%2Fexample%2F3%2Fmodel.onnx?alt=media"
    gcs.inject(Fault("status", on=("media",), status=307, headers={"Location": place}), times=2)
    warned = Warnings()
    assert fetch("gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url}, warned) == CONTENT
    assert [message.partition(";")[0] for message in warned] == ["gs://models/team: 307 injected"]


def test_an_object_that_was_stored_compressed_is_left_to_googles_client(gcs: FakeGcs, fetch: Fetch) -> None:
    gcs.inject(Fault("odd", on=("media",), headers={"Content-Encoding": "br"}))
    assert fetch("gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url}) == CONTENT


def test_a_package_without_googles_client_says_how_to_add_it(
    gcs: FakeGcs, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcs.inject(Fault("odd", on=("media",), headers={"Content-Encoding": "br"}))
    monkeypatch.delitem(sys.modules, "gcs_client", raising=False)
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(
        StoreError, match=r"gs://models/team: this package has no Google client .*'client = true' in gcp"
    ):
        fetch("gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url})


def test_a_good_fetch_is_one_request_and_needs_no_library_of_googles(gcs: FakeGcs, fetch: Fetch) -> None:
    before = set(sys.modules)
    assert fetch("gs://models/team", {"STORAGE_EMULATOR_HOST": gcs.url}) == CONTENT
    assert gcs.requests == ["GET /storage/v1/b/models/o/team%2Fexample%2F3%2Fmodel.onnx?alt=media"]
    assert "gcs_client" not in set(sys.modules) - before


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "http://a.proxy"},
        {"STORAGE_EMULATOR_HOST": "127.0.0.1:9023"},
        {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9023/below"},
        {"API_ENDPOINT_OVERRIDE": "http://in.the.clear"},
        {"GOOGLE_APPLICATION_CREDENTIALS": "/a/key.json"},
        {"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "another.universe"},
        {"GOOGLE_API_USE_CLIENT_CERTIFICATE": "true"},
        {"NO_GCE_CHECK": "true"},
    ],
)
def test_what_the_environment_asks_for_beyond_the_usual_is_for_googles_client(environ: dict[str, str]) -> None:
    assert not is_plain(environ)


def test_somebody_who_signed_in_on_this_machine_is_known_to_googles_client_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".config/gcloud"
    folder.mkdir(parents=True)
    assert is_plain({"HOME": str(tmp_path)})
    (folder / "application_default_credentials.json").touch()
    assert not is_plain({"HOME": str(tmp_path)})
    assert not is_plain({"CLOUDSDK_CONFIG": str(folder)})


def test_credentials_that_are_not_there_may_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fetch: Fetch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StoreUnavailable, match=r"gs://models/team/.*none.json"):
        fetch("gs://models/team", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")})
