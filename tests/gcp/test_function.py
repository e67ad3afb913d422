"""The whole function under functions-framework, beside a metadata server and a Cloud Storage that wants its token."""

from __future__ import annotations

import json
import os
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from gcp.held import Held
from harness import Pinned, prepared, sample
from pilotlight_cli.local.functions_runtime import FunctionsRuntime, functions_runtime
from pilotlight_cli.local.process import ServeError
from pilotlight_cli.local.stores import EmbeddedStore
from processes import children
from repository import SAMPLE
from servers import certificates
from servers.fake_gcs import FakeGcs, Fault
from servers.metadata_server import TOKEN, MetadataServer
from waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
GOOD = {"features": [1.0] * 30}
NAME = "breast-cancer/1/model.onnx"
CONTENT = (SAMPLE / "model.onnx").read_bytes()


@dataclass(frozen=True)
class Google:
    """What of Google Cloud the function meets."""

    gcs: FakeGcs
    metadata: MetadataServer
    store: EmbeddedStore


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def google(tls: tuple[ssl.SSLContext, Path], tmp_path: Path) -> Iterator[Google]:
    with FakeGcs("models", tls=tls[0], tokens={"a-token"}) as gcs, MetadataServer() as metadata:
        gcs.put("models", NAME, CONTENT)
        environ = {
            "API_ENDPOINT_OVERRIDE": gcs.url,
            "GCE_METADATA_HOST": metadata.host,
            "GCE_METADATA_IP": metadata.host,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "GOOGLE_CLOUD_PROJECT": "mine",
            "HOME": str(tmp_path),
            "REQUESTS_CA_BUNDLE": str(tls[1]),
            "SSL_CERT_FILE": str(tls[1]),
        }
        yield Google(gcs, metadata, EmbeddedStore("gs://models", environ))


@contextmanager
def running(
    model: Pinned, google: Google, deadline: float = 30.0, least: float = 1.0, **settings: str
) -> Iterator[FunctionsRuntime]:
    """Yield the function. The staged copy has a shorter start deadline, so that no test waits for half a minute.

    So is the least that one of its tries may take: none begins that could still be under way at the deadline.
    """
    with prepared("gcp", model, google.store, settings) as function:
        rewrite(function.folder / "cloud_instance.py", "deadline=30.0,", f"deadline={deadline},")
        rewrite(function.folder / "pilotlight/start/loading.py", "\n_MIN_TRY = 1.0\n", f"\n_MIN_TRY = {least}\n")
        with functions_runtime(function) as runtime:
            yield runtime


def rewrite(file: Path, text: str, other: str) -> None:
    code = file.read_text()
    assert code.count(text) == 1
    file.write_text(code.replace(text, other))


def predict(runtime: FunctionsRuntime) -> requests.Response:
    return requests.post(f"{runtime.url}/predict", json=GOOD, headers=HEADERS, timeout=60)


def settled(runtime: FunctionsRuntime, state: str) -> dict[str, Any]:
    """Return the last start's line, once it tells of that state: a line may be read later than its reply."""

    def last() -> dict[str, Any]:
        return next(iter(reversed(runtime.log.events("cold_start"))), {})

    wait_until(lambda: last().get("state") == state, limit=30)
    return last()


def media(kind: str, **fields: object) -> Fault:
    return Fault(kind, on=("media",), **fields)  # type: ignore[arg-type]


def test_a_start_where_all_is_well_is_one_request_to_each(model: Pinned, google: Google) -> None:
    with running(model, google) as runtime:
        assert predict(runtime).status_code == 200
        assert google.metadata.requests == [TOKEN]
        assert google.gcs.requests == ["GET /storage/v1/b/models/o/breast-cancer%2F1%2Fmodel.onnx?alt=media"]
        start = settled(runtime, "ready")
        assert (start["state"], start["attempts"], start["fetched_bytes"]) == ("ready", 1, len(CONTENT))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_model_is_fetched_once_before_the_port_opens_and_outlives_its_worker(
    threads: str, model: Pinned, google: Google
) -> None:
    with running(model, google, PILOTLIGHT_THREADS=threads) as runtime:
        assert "reload" not in settled(runtime, "ready")["phases_ms"]
        google.gcs.buckets.delete("models", NAME, {})
        assert predict(runtime).status_code == 200
        (worker,) = children(runtime.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: children(runtime.pid) not in ([], [worker]), limit=60)
        assert predict(runtime).status_code == 200
        assert len(google.gcs.requests) == 1


def test_two_workers_share_an_instance_and_its_fetch(model: Pinned, google: Google) -> None:
    with running(model, google, WORKERS="2") as runtime:
        wait_until(lambda: len(children(runtime.pid)) == 2, limit=60)
        assert {predict(runtime).status_code for _ in range(20)} == {200}
        assert len(google.gcs.requests) == 1


def test_with_debug_flasks_own_server_answers_though_it_never_forks(model: Pinned, google: Google) -> None:
    def answers() -> bool:
        try:
            return predict(runtime).status_code == 200
        except requests.RequestException:  # Flask's reloader starts the server again
            return False

    with running(model, google, PILOTLIGHT_THREADS="2", DEBUG="1") as runtime:
        wait_until(answers, limit=60)
        assert "Debugger is active" in runtime.log.tail()


def test_an_answer_that_a_plain_get_cannot_handle_costs_time_and_nothing_else(model: Pinned, google: Google) -> None:
    place = f"{google.gcs.url}/storage/v1/b/models/o/breast-cancer%2F1%2Fmodel.onnx?alt=media"
    google.gcs.inject(media("status", status=307, headers={"Location": place}), times=2)
    with running(model, google) as runtime:
        assert predict(runtime).status_code == 200
        warning = runtime.log.wait_for("warning", 30)
        assert warning is not None
        assert runtime.log.events("warning") == [warning]
        assert (warning["severity"], warning["message"].partition(";")[0]) == ("WARNING", "gs://models: 307 injected")


@pytest.mark.parametrize("broken", [[500, 500], [503]])
def test_a_metadata_server_that_recovers_delays_the_start(broken: list[int], model: Pinned, google: Google) -> None:
    google.metadata.manner.broken.extend(broken)
    with running(model, google) as runtime:
        assert predict(runtime).status_code == 200
        assert settled(runtime, "ready")["attempts"] == len(broken) + 1


def test_a_function_without_a_service_account_does_not_start(model: Pinned, google: Google) -> None:
    google.metadata.manner.status = 404
    with (
        pytest.raises(ServeError, match="ObjectRefused.*needs a service account"),
        running(model, google, 32.0, least=30.0),  # two seconds of tries, the last of which is not cut short
    ):
        pass


@pytest.mark.parametrize("manner", [{"status": 500}, {"delay": 60.0}, {"flavor": "Other"}])
def test_without_a_token_there_is_a_503_until_one_comes(
    manner: dict[str, object], model: Pinned, google: Google
) -> None:
    good = {name: getattr(google.metadata.manner, name) for name in manner}
    for name, value in manner.items():
        setattr(google.metadata.manner, name, value)
    with running(model, google, 2.0) as runtime:
        assert requests.get(f"{runtime.url}/health/ready", timeout=60).status_code == 503
        assert google.gcs.requests == []
        for name, value in good.items():
            setattr(google.metadata.manner, name, value)
        assert predict(runtime).status_code == 200
        settled(runtime, "ready")


def test_every_line_of_a_request_joins_its_trace(model: Pinned, google: Google) -> None:
    google.gcs.inject(media("status"), times=1000)
    with running(model, google, 1.5) as runtime:
        google.gcs.faults.clear()
        reply = predict(runtime)
        assert reply.status_code == 200
        request, late = runtime.log.wait_for("request", 30), settled(runtime, "ready")
        assert request is not None
        assert request["request_id"] == reply.headers["x-request-id"]
        for line in (request, late):
            assert line["logging.googleapis.com/trace"] == f"projects/mine/traces/{TRACE}"
            assert line["logging.googleapis.com/spanId"] == "b7ad6b7169203331"
            assert line["logging.googleapis.com/trace_sampled"] is True
        assert "logging.googleapis.com/trace" not in runtime.log.events("cold_start")[0]


@pytest.mark.parametrize("setting", ["true", "false"])
def test_no_line_of_eight_callers_is_broken_whatever_writes_the_execution_id(
    setting: str, model: Pinned, google: Google
) -> None:
    """gcloud sets it on what it deploys, and functions-framework then writes a line in two steps."""
    ids = [f"{caller:02}x{number:02}" for caller in range(8) for number in range(25)]
    trace = {"x-cloud-trace-context": f"{TRACE}/74;o=1"}

    def call(name: str) -> int:
        headers = {**trace, "x-request-id": name, "function-execution-id": name}
        return requests.post(f"{runtime.url}/predict", json=GOOD, headers=headers, timeout=60).status_code

    with running(model, google, LOG_EXECUTION_ID=setting) as runtime:
        with ThreadPoolExecutor(8) as callers:
            assert set(callers.map(call, ids)) == {200}
        wait_until(lambda: len(runtime.log.events("request")) >= len(ids), limit=60)
        lines = {line["request_id"]: line for line in runtime.log.events("request")}
    assert sorted(lines) == ids
    for name, line in lines.items():
        assert line["logging.googleapis.com/labels"] == {"execution_id": name}
        assert line["logging.googleapis.com/spanId"] == f"{74:016x}"


def test_a_model_that_proves_wrong_after_the_start_ends_the_instance_when_all_is_answered(
    model: Pinned, google: Google
) -> None:
    google.gcs.inject(media("status"), times=1000)
    with running(model, google, 1.5) as runtime:
        google.gcs.put("models", NAME, bytes(len(CONTENT)))
        google.gcs.faults.clear()
        google.gcs.inject(media("drip", after=len(CONTENT) - 60))  # three seconds, in which all of the requests wait
        port, body = int(runtime.url.rpartition(":")[2]), json.dumps(GOOD).encode()
        held = [Held(port, "/predict", body, {"Content-Type": "application/json"}) for _ in range(3)]
        with ThreadPoolExecutor(len(held)) as callers:
            replies = list(callers.map(Held.finish, held))
        for one in held:
            one.connection.close()
        assert {status for status, _ in replies} == {503}
        assert {json.loads(content)["code"] for _, content in replies} == {"not_ready"}
        wait_until(lambda: runtime.exit_code is not None, limit=60)
        assert runtime.exit_code == 3
        last = settled(runtime, "failed")
        assert last["severity"] == "ERROR"
        assert last["error"].startswith("DigestMismatch: model.onnx: expected SHA-256")
