"""The function as `sam build` packs it and as `sam local` runs it: in Lambda's image, on a model out of S3."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.sam_local import Prepared, api, invoke_command, pointed_to, quiet, reachable_store
from pilotlight_cli.local.process import Log, free_port
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging.package import MAX_BYTES, megabytes
from pilotlight_cli.stores import open_store
from processes import descendants, wait_until_ended
from reporting import REPORTED, Recorder
from repository import EVENTS, LOCK, SAMPLE, copied_project, sample_request
from waiting import wait_until

SAM = str(Path(sys.executable).with_name("sam"))
PILOTLIGHT = str(Path(sys.executable).with_name("pilotlight"))

JSON = {"content-type": "application/json"}
ANSWER = {
    "prediction": "malignant",
    "probability": 0.96875,
    "probabilities": [0.03125, 0.96875],
    "model_name": "breast-cancer",
    "model_version": 1,
}

# Everything that a start and a first request load. `-I` keeps the folder one stands in and PYTHONPATH out.
IMPORT = """
import sys
sys.path[:0] = ["/var/task", "/var/runtime"]
import handler
assert handler._LOADER.state == "ready", handler._LOADER.state
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which a plain `sam build` left all functions."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    command = [SAM, "build", "--build-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=quiet(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_package_that_sam_builds_stays_below_lambdas_limit(built: Path, record_property: Recorder) -> None:
    found = size(built / "PredictFunction")
    told = f"sam build: PredictFunction has {megabytes(found)} unzipped, Lambda takes {megabytes(MAX_BYTES)}"
    record_property(REPORTED, told)
    assert 10_000_000 < found < MAX_BYTES


def test_the_package_imports_in_lambdas_image_with_nothing_but_the_image_beside_it(
    built: Path, lambda_image: str, tmp_path: Path
) -> None:
    ensure_published(LOCK, open_store(tmp_path.as_uri()))
    mounts = [f"{built / 'PredictFunction'}:/var/task:ro", f"{tmp_path}:/store:ro"]
    options = [part for mount in mounts for part in ("--volume", mount)]
    options += ["--env", "PILOTLIGHT_STORE=file:///store", "--network", "none"]
    command = ["docker", "run", "--rm", *options, "--entrypoint", "/var/lang/bin/python3", lambda_image, "-I", "-c"]
    done = subprocess.run([*command, IMPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"handler", "pilotlight", "ctypes"} <= loaded
    assert not {"boto3", "numpy", "onnxruntime"} & loaded  # the C API needs none of them


@pytest.fixture(scope="module")
def run(built: Path, address: str) -> Iterator[Prepared]:
    """Yield the built function, with a store that has the sample model."""
    with reachable_store(address) as store:
        with acting_in(store.environ):
            ensure_published(LOCK, open_store(store.url))
        yield pointed_to(store, address, built / "template.yaml", os.environ)


def invoke(run: Prepared, event: Path, *parameters: str) -> tuple[Any, Log]:
    """Return what `sam local invoke` prints: the function's reply, and its log.

    SAM waits a second for what the container wrote, and loses what comes later: where the start is not in it, the event
    is sent again.
    """
    command = invoke_command(run, event, parameters)
    for _ in range(10):
        done = subprocess.run(command, env=dict(run.environ), capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        log = Log()
        for line in done.stderr.splitlines():
            log.add(line)
        if log.events("cold_start"):
            return json.loads(done.stdout), log
    raise AssertionError(done.stderr)


def fetched(log: Log) -> int:
    """How many bytes the one cold start in a log brought from the store."""
    (start,) = log.events("cold_start")
    assert start["state"] == "ready"
    return int(start["fetched_bytes"])


EXPECTED = {
    "direct-predict.json": None,  # the bare document
    "function-url-predict.json": 200,
    "http-api-v2-health.json": 200,
    "http-api-v2-invalid.json": 400,
    "http-api-v2-predict-base64.json": 200,
    "http-api-v2-predict.json": 200,
    "load-balancer-predict.json": 200,
    "rest-api-v1-predict.json": 200,
    "vpc-lattice-predict.json": 200,
}


def test_every_event_has_an_expected_answer() -> None:
    assert set(EXPECTED) == {file.name for file in EVENTS.glob("*.json")}


@pytest.mark.parametrize("name", EXPECTED)
def test_sam_local_invoke_answers_each_event_from_a_model_that_the_container_fetched(name: str, run: Prepared) -> None:
    reply, log = invoke(run, EVENTS / name)
    assert fetched(log) == load_lock(LOCK).model.files[0].size
    assert reply.get("statusCode") == EXPECTED[name]
    body = json.loads(reply["body"]) if "statusCode" in reply else reply
    if "predict" in name:
        assert body == ANSWER
    elif "health" in name:
        assert body["status"] == "ready"
    else:
        assert (body["code"], body["path"]) == ("invalid_request", '$.features["mean radius"]')


def test_sam_local_start_api_answers_curl_and_leaves_nothing_behind(run: Prepared) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    path, body = sample_request()
    send = [
        "curl",
        "--silent",
        "--show-error",
        "--header",
        "content-type: application/json",
        "--data",
        json.dumps(body),
    ]
    with api(run, port) as (child, log):
        started = [child.pid, *descendants(child.pid)]
        first = subprocess.run([*send, f"{url}{path}"], capture_output=True, text=True, check=True, timeout=300)
        assert json.loads(first.stdout) == ANSWER
        log.wait_for("cold_start", 60)
        assert fetched(log) == load_lock(LOCK).model.files[0].size
        assert requests.get(f"{url}/health", timeout=120).json()["status"] == "ready"
        assert requests.post(f"{url}/nowhere", timeout=120).status_code == 404
        containers = running_containers()
        assert containers
    wait_until_ended(started, limit=60)
    wait_until(lambda: not containers & running_containers(), limit=60)


def behind_a_rest_api(run: Prepared, media_types: list[str]) -> Prepared:
    """Return the built function with a REST API in place of the HTTP API."""
    document = json.loads(run.template.read_text())
    kept = {name: one for name, one in document["Resources"].items() if "ApiGatewayV2" not in one["Type"]}
    rest = {"StageName": "prod", "BinaryMediaTypes": media_types}
    kept = {"RestApi": {"Type": "AWS::Serverless::Api", "Properties": rest}} | kept
    route = {"RestApiId": {"Ref": "RestApi"}, "Path": "/{proxy+}", "Method": "any"}
    kept["PredictFunction"]["Properties"]["Events"] = {"All": {"Type": "Api", "Properties": route}}
    template = run.template.with_name("rest.json")
    template.write_text(json.dumps(document | {"Resources": kept, "Outputs": {}}))
    return Prepared(template, run.environ)


@pytest.mark.parametrize("is_binary", [False, True], ids=["text", "binary media types"])
def test_a_rest_api_answers_large_requests_that_a_client_wants_compressed(is_binary: bool, run: Prepared) -> None:
    """Text alone passes a REST API unless its binary media types are set; the parameter tells the function of them."""
    rows = {"instances": [sample_request()[1]["features"]] * 200}
    tensor = {"name": "features", "datatype": "FP64", "shape": [1, 30], "data": [1.0] * 30}
    raw = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    port = free_port()
    parameters = [f"RestApiBinary={str(is_binary).lower()}"]
    with api(behind_a_rest_api(run, ["*~1*"] if is_binary else []), port, parameters):
        url = f"http://127.0.0.1:{port}"
        many = requests.post(f"{url}/predict_batch", json=rows, timeout=300)
        assert many.json()["predictions"] == ["malignant"] * 200
        assert ("content-encoding" in many.headers) == is_binary
        found = requests.post(f"{url}/v2/models/breast-cancer/infer", json=raw, timeout=120)
        assert found.status_code == (200 if is_binary else 400), found.text
        assert requests.get(f"{url}/health", timeout=120).json()["status"] == "ready"
        assert requests.get(f"{url}/nowhere", timeout=120).status_code == 404


def test_the_command_sends_an_event_in_a_new_project_and_prints_the_reply_alone(
    lambda_image: str, tmp_path: Path
) -> None:
    described = [f"--{name}={SAMPLE / name}.json" for name in ("golden", "signature")]
    made = [PILOTLIGHT, "init", "breast-cancer", "--model", str(SAMPLE / "model.onnx"), *described]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    command = [PILOTLIGHT, "-C", "breast-cancer", "sam", "invoke"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(json.loads(done.stdout)["body"]) == ANSWER


def test_the_command_serves_until_ctrl_c(lambda_image: str, tmp_path: Path) -> None:
    port = free_port()
    project = copied_project(tmp_path / "project").root  # in which SAM builds
    output = tmp_path / "output.txt"
    with output.open("w") as file:
        command = [PILOTLIGHT, "-C", str(project), "sam", "start-api", "--port", str(port)]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        wait_until(lambda: "Press Ctrl-C to stop." in output.read_text() or process.poll() is not None, limit=300)
        assert requests.get(f"http://127.0.0.1:{port}/health", timeout=120).json()["status"] == "ready"
        wait_until(lambda: "GET /health 200" in output.read_text(), limit=60)
        started = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        process.kill()
    wait_until_ended(started, limit=60)
    said = output.read_text()
    assert f"answers on http://127.0.0.1:{port}" in said
    assert said.endswith("Stopped.\n")


def test_a_memory_limit_that_is_too_small_gives_500_and_the_environment_begins_again(run: Prepared) -> None:
    path, body = sample_request()
    large = '{"instances":[' + "{}," * 1_400_000 + "{}]}"  # 4 MB, and 100 as objects
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with api(run, port, ["MemorySize=128"]) as (_, log):
        killed = requests.post(f"{url}/predict_batch", large, headers=JSON, timeout=120)
        assert (killed.status_code, killed.json()) == (500, {"message": "Internal server error"})
        wait_until(lambda: "signal: killed" in "\n".join(log.lines), limit=60)
        assert requests.post(f"{url}{path}", json=body, timeout=120).json() == ANSWER
        log.wait_for("cold_start", 60, after=1)
    assert [start["state"] for start in log.events("cold_start")] == ["ready", "ready"]


def test_a_model_that_is_missing_fails_the_start_which_sam_shows_with_200(built: Path, address: str) -> None:
    path, body = sample_request()
    port = free_port()
    with (
        reachable_store(address) as empty,
        api(pointed_to(empty, address, built / "template.yaml", os.environ), port) as (_, log),
    ):
        reply = requests.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=120)
        assert reply.status_code == 200
        assert reply.json()["errorType"] == "ObjectRefused"
        assert "breast-cancer/1/model.onnx" in reply.json()["errorMessage"]
        log.wait_for("cold_start", 60)
    (start,) = log.events("cold_start")
    assert (start["state"], start["fetched_bytes"]) == ("failed", 0)


def running_containers() -> set[str]:
    """Return the containers of `sam local` that run now; other tests may have theirs."""
    command = ["docker", "ps", "--quiet", "--filter", "label=sam.cli.container.type=lambda"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
