"""What Prometheus gets from the server: totals over all processes, also of those that have ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

import grpc_inference_pb2 as pb
from docs import pages
from grpc_calls import Serving, connected, serving_grpc
from harness import in_server, sample, stored
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from processes import children
from repository import sample_request
from waiting import wait_until

MODEL = {"model": "breast-cancer", "version": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    model = sample(tmp_path_factory.mktemp("sample"))
    with serving_grpc(model, PILOTLIGHT_SERVER_WORKERS="2", PILOTLIGHT_SERVER_BATCH="64") as found:
        yield found


@pytest.fixture(scope="module")
def runtime(server: Serving) -> FunctionsRuntime:
    return server.runtime


def scraped(runtime: FunctionsRuntime) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    reply = requests.get(f"{runtime.url}/metrics", timeout=60)
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(reply.text)
        for sample in family.samples
    }


def value(runtime: FunctionsRuntime, name: str, **labels: str) -> float:
    return scraped(runtime).get((name, frozenset({**MODEL, **labels}.items())), 0)


def ask(runtime: FunctionsRuntime, path: str, body: object = None) -> int:
    """Send a request on a connection of its own, which either worker may get."""
    method = "GET" if body is None else "POST"
    return requests.request(method, f"{runtime.url}{path}", json=body, timeout=60).status_code


def test_requests_to_any_worker_are_counted_together_and_outlive_it(runtime: FunctionsRuntime) -> None:
    path, body = sample_request()
    predict = {"route": path, "status": "2xx"}
    assert all(ask(runtime, path, body) == 200 for _ in range(40))
    assert value(runtime, "pilotlight_requests_total", **predict) == 40
    assert value(runtime, "pilotlight_replaced_workers_total") == 0
    os.kill(children(runtime.pid)[0], signal.SIGKILL)
    wait_until(lambda: bool(runtime.log.events("warning")), limit=60)
    wait_until(lambda: value(runtime, "pilotlight_replaced_workers_total") == 1, limit=60)
    assert value(runtime, "pilotlight_requests_total", **predict) == 40
    assert value(runtime, "pilotlight_rows_total") == 40
    assert value(runtime, "pilotlight_request_seconds_count") == 40
    assert 0 < value(runtime, "pilotlight_request_seconds_sum") < 40


def test_errors_have_their_code_and_probes_are_not_counted(runtime: FunctionsRuntime) -> None:
    assert ask(runtime, "/predict", {"features": []}) == 400
    assert ask(runtime, "/nowhere") == 404
    before = value(runtime, "pilotlight_requests_total", route="/health/ready", status="2xx")
    assert ask(runtime, "/health/ready") == 200
    assert value(runtime, "pilotlight_requests_total", route="/health/ready", status="2xx") == before == 0
    assert value(runtime, "pilotlight_errors_total", code="invalid_request", status="400") == 1
    assert value(runtime, "pilotlight_errors_total", code="not_found", status="404") == 1
    assert value(runtime, "pilotlight_requests_total", route="", status="4xx") == 1


def test_the_phases_of_the_start_are_kept(runtime: FunctionsRuntime) -> None:
    assert all(value(runtime, "pilotlight_start_seconds", phase=phase) > 0 for phase in ("import", "load", "total"))


def test_calls_over_grpc_are_counted_by_their_code_too(server: Serving, runtime: FunctionsRuntime) -> None:
    errors = value(runtime, "pilotlight_errors_total", code="not_found", status="404")
    for _ in range(8):
        with connected(server.address) as client:  # on a connection of its own, which either worker may get
            client.call("ServerReady", pb.ServerReadyRequest())
            client.call("ModelMetadata", pb.ModelMetadataRequest(name="breast-cancer"))
            assert client.refusal("ModelInfer", pb.ModelInferRequest(model_name="other"))[0].name == "NOT_FOUND"
    found = {labels: count for (name, labels), count in scraped(runtime).items() if "grpc" in name}
    assert found == {
        frozenset({**MODEL, "method": method, "code": code}.items()): 8
        for method, code in (("ModelMetadata", "OK"), ("ModelInfer", "NOT_FOUND"))
    }
    route = "/inference.GRPCInferenceService/ModelInfer"
    assert value(runtime, "pilotlight_requests_total", route=route, status="4xx") == 8
    assert value(runtime, "pilotlight_errors_total", code="not_found", status="404") == errors + 8


def test_runs_of_requests_that_arrive_together_are_measured(runtime: FunctionsRuntime) -> None:
    names = ("pilotlight_batch_rows_sum", "pilotlight_batch_wait_seconds_count")
    before = [value(runtime, name) for name in names]
    path, body = sample_request()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(runtime, path, body), range(40))) == {200}
    assert [value(runtime, name) for name in names] == [count + 40 for count in before]
    runs = value(runtime, "pilotlight_batch_rows_count")
    assert 0 < runs == value(runtime, "pilotlight_batch_queue_count")
    assert value(runtime, "pilotlight_batch_queue_sum") >= runs
    assert value(runtime, "pilotlight_batch_wait_seconds_sum") > 0


WORST = """
import os
from itertools import product
from grpc_codes import CODES
from pilotlight import errors
from pilotlight.http.routes import ROUTES
from pilotlight.telemetry import ColdStart, Served
from server_metrics import exposition, open_metrics
def kinds(kind):
    return [kind, *(each for child in kind.__subclasses__() for each in kinds(child))]
metrics = open_metrics(os.environ)
refusals = [("", 200, 1), *((kind.code, kind.status, 0) for kind in kinds(errors.RequestError))]
methods = ["ModelInfer", "ModelMetadata", "ModelReady", "ServerLive", "ServerMetadata", "ServerReady"]
paths = ["", *(route.path for route in ROUTES), *("/inference.GRPCInferenceService/" + name for name in methods)]
for path, (code, status, rows) in product(paths, refusals):
    metrics.count(Served("id", "POST", path, status, 1.0, "model", 1, rows=rows, code=code))
phases = "import lock fetch runtime load prime reload total".split()
metrics.count(ColdStart("ready", "model", 1, dict.fromkeys(phases, 1.0), 0, 1, device="cuda"))
metrics.ran("model", 1, 1, [0.1], 1)
lines = exposition("")[1].decode().splitlines()
print(sum(not line.startswith("#") for line in lines))
print(*(line for line in lines if line.startswith("pilotlight_gpu")))
"""


def test_whatever_is_requested_there_are_at_most_200_series(tmp_path: Path) -> None:
    """Every route gets every error, which no request can bring about."""
    functions = ("container/server", "container/grpc", "gcp/predict")
    path = os.pathsep.join(map(str, (*(FUNCTIONS / one for one in functions), FUNCTIONS.parent / "shared")))
    environ = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WORST], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    count, gpu = done.stdout.splitlines()
    assert 100 < int(count) <= 200, count
    assert gpu == 'pilotlight_gpu{model="model",version="1"} 1.0'


def test_the_names_are_those_of_the_reference_and_follow_the_rules_of_prometheus(
    server: Serving, runtime: FunctionsRuntime
) -> None:
    path, body = sample_request()
    assert [ask(runtime, path, body), ask(runtime, path, {})] == [200, 400]
    with connected(server.address) as client:
        client.call("ServerMetadata", pb.ServerMetadataRequest())
    accept = "application/openmetrics-text; version=1.0.0"
    text = requests.get(f"{runtime.url}/metrics", headers={"accept": accept}, timeout=60).text
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    rows = pages.table(pages.section(pages.read("docs/reference/logs-and-metrics.md"), "## Metrics of the server"))
    named = {row[0].strip("`"): set(row[1].replace("`", "").split(", ")) for row in rows}
    suffixes = {"counter": "_total"}
    assert named.keys() == {f"{name}{suffixes.get(family.type, '')}" for name, family in families.items()}
    for name, family in families.items():
        labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
        assert named[f"{name}{suffixes.get(family.type, '')}"] == labels
    if promtool := shutil.which("promtool"):
        plain = requests.get(f"{runtime.url}/metrics", timeout=60).text
        subprocess.run([promtool, "check", "metrics"], input=plain, text=True, check=True, timeout=60)


def test_nothing_is_left_of_the_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = sample(tmp_path_factory.mktemp("sample"))
    with stored("gcp", model) as store, in_server(model, store) as runtime:
        folder = Path(runtime_folder(runtime))
        assert list(folder.glob("*.db"))
        runtime.stop()
        assert not folder.exists()


def runtime_folder(runtime: FunctionsRuntime) -> str:
    """Return the folder of the metrics' files, which only the process itself knows: those that it has mapped."""
    maps = Path(f"/proc/{runtime.pid}/maps").read_text().split()
    return str(Path(next(name for name in maps if "pilotlight-metrics-" in name)).parent)
