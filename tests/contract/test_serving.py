"""The sample model in both clouds' real runtimes, and all that ends with them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from local_lock import copy_lock, fill_store, rewrite
from pilotlight.model.lock import File
from pilotlight.start.machine import here
from pilotlight_cli.local import PortTaken, ServeError, serving
from pilotlight_cli.local.client import send
from pilotlight_cli.registry.availability import NotAvailable
from pilotlight_cli.registry.versions import NotPublished
from pilotlight_cli.stores import StoreUrlError
from processes import descendants, wait_until_ended
from repository import SAMPLE, copied_project, sample_request


@pytest.fixture(params=["aws", "gcp", "container"])
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_sample_is_served_without_a_store_and_all_of_it_ends(cloud: str, lock: Path) -> None:
    others = set(descendants(os.getpid()))
    with serving(cloud, lock) as server:
        answer = send(server.url, *sample_request())
        pids = set(descendants(os.getpid())) - others
        assert len(pids) >= 2

        assert answer.status == 200
        assert answer.document["prediction"] == "malignant"
        assert (answer.document["model_name"], answer.document["model_version"]) == ("breast-cancer", 1)
        assert server.cold_start["state"] == "ready"
        phases = {"import", "lock", "fetch", "runtime", "load", "total"}
        second = {"reload"} if cloud == "gcp" and here().processors > 1 else set()
        assert server.cold_start["phases_ms"].keys() == phases | second
        assert server.cold_start["fetched_bytes"] == (SAMPLE / "model.onnx").stat().st_size
        assert any('"cold_start"' in line for line in server.log.lines)

    wait_until_ended(list(pids), limit=60)
    assert send(server.url, "/health").status == 0


def test_a_restart_is_a_cold_start_that_fetches_again(cloud: str, lock: Path, store: str) -> None:
    with serving(cloud, lock, store) as server:
        first = server.cold_start
        server.restart()

        assert server.cold_start != first
        assert server.cold_start["fetched_bytes"] == first["fetched_bytes"] > 0
        assert send(server.url, *sample_request()).status == 200


def test_two_servers_run_side_by_side(lock: Path, store: str) -> None:
    with serving("aws", lock, store) as one, serving("gcp", lock, store) as other:
        assert send(one.url, *sample_request()).body == send(other.url, *sample_request()).body


@pytest.mark.parametrize(
    ("cloud", "store", "message"),
    [
        ("gcp", "s3://bucket/models", "does not work with --cloud gcp; expected gs:// or file://"),
        ("aws", "gs://bucket/models", "does not work with --cloud aws; expected s3:// or file://"),
        ("container", "nonsense", "does not work with --cloud container; expected s3://, gs:// or file://"),
        ("aws", "nonsense", "does not work with --cloud aws"),
    ],
)
def test_a_store_of_the_other_cloud_is_refused(cloud: str, store: str, message: str, lock: Path) -> None:
    with pytest.raises(StoreUrlError, match=message), serving(cloud, lock, store):
        pass


def test_a_lock_outside_of_a_project_needs_a_store(cloud: str, lock: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(StoreUrlError, match="is in no project, .*; name one with --store URL"),
        serving(cloud, copy_lock(lock, tmp_path)),
    ):
        pass


def test_a_lock_of_files_that_the_project_does_not_have_is_refused(cloud: str, tmp_path: Path) -> None:
    other = copied_project(tmp_path).model().lock
    rewrite(other, files=(File("model.onnx", 3, "0" * 64),))
    with (
        pytest.raises(NotAvailable, match=r"breast-cancer:1 in .* differs from the pinned version"),
        serving(cloud, other),
    ):
        pass


def test_a_version_that_the_store_has_not_is_named_at_once(cloud: str, lock: Path, tmp_path: Path) -> None:
    with pytest.raises(NotPublished, match="has no model 'breast-cancer'"), serving(cloud, lock, tmp_path.as_uri()):
        pass


def test_an_altered_model_ends_the_start_with_the_functions_own_words(cloud: str, lock: Path, tmp_path: Path) -> None:
    url = fill_store(tmp_path, lock)
    model = tmp_path / "breast-cancer/1/model.onnx"
    model.write_bytes(bytes([model.read_bytes()[0] ^ 1]) + model.read_bytes()[1:])

    with pytest.raises(ServeError, match="DigestMismatch: model.onnx: expected SHA-256"), serving(cloud, lock, url):
        pass


def test_a_setting_that_does_not_exist_is_named_by_the_function(cloud: str, lock: Path, store: str) -> None:
    environ = {**os.environ, "PILOTLIGHT_NONSENSE": "1"}

    message = "unknown setting PILOTLIGHT_NONSENSE"
    with pytest.raises(ServeError, match=message), serving(cloud, lock, store, environ=environ):
        pass


def test_a_path_in_front_of_the_routes_is_taken_off_where_the_setting_names_it(
    cloud: str, lock: Path, store: str
) -> None:
    with serving(cloud, lock, store, environ={**os.environ, "PILOTLIGHT_BASE_PATH": "/models/fraud"}) as server:
        path, document = sample_request()
        assert send(server.url, f"/models/fraud{path}", document).status == 200
        paths = ("/models/fraud/health", "/health", "/models/fraud", "/models/fraudulent/health", "/health/x")
        assert {path: send(server.url, path).status for path in paths} == {
            "/models/fraud/health": 200,
            "/health": 200,
            "/models/fraud": 200,
            "/models/fraudulent/health": 404,
            "/health/x": 404,
        }


def test_a_port_that_is_taken_is_told_before_anything_starts(cloud: str, lock: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match="--port"), serving(cloud, lock, port=port):
            pass
