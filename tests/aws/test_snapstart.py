"""SnapStart: what a snapshot of the function holds, and what the runtime makes of it.

The snapshot itself is the platform's, and Lambda's emulator makes none. A fork stands in for it here: it is a copy of
the process, as a snapshot is.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import snapstart
from fakes.runtime_api import RuntimeApi, runtime_api
from harness import Pinned, pinned, prepared, sample, stored
from pilotlight.fetch import FolderStore
from pilotlight.start.loading import Loader, Plan
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import Child, Log
from repository import SAMPLE

PROGRAM = """
import gc, json, os, sys, threading
import handler
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

run_before_snapshot()
gc.unfreeze()  # what was hidden from collections counts as well
from s3_signature import Credentials
credentials = [Credentials]
if "boto3" in sys.modules:
    from botocore.credentials import Credentials
    credentials.append(Credentials)
for thread in set(threading.enumerate()) - {threading.main_thread()}:
    thread.join(60)  # the fetch is done, its thread may have a line or two to go
links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if name.isdigit()
         and os.path.exists(f"/proc/self/fd/{name}")]
found = {
    "sockets": [link for link in links if link.startswith("socket:")],
    "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
    "boto3": "boto3" in sys.modules,
    "session": repr(getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)),
    "credentials": sum(isinstance(one, tuple(credentials)) for one in gc.get_objects()),
    "restored": [],
}
for _ in range(2):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        import random
        run_after_restore()
        numbers = [random.random()]
        if "numpy" in sys.modules:
            numbers.append(float(sys.modules["numpy"].random.random()))
        os.write(writer, json.dumps(numbers).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as told:
        found["restored"].append(json.load(told))
    os.waitpid(child, 0)
print(json.dumps(found))
"""


# A function whose start has given up for now: its store does not answer.
WAITING = """
import time
from pathlib import Path
import snapstart
from pilotlight.model.lock import load_lock
from pilotlight.start.loading import Loader, Plan
from pilotlight.fetch import FolderStore

model = load_lock(Path("model.lock")).model
plan = Plan(model, FolderStore(Path("nowhere")), Path("nowhere"), 1, time.monotonic, time.sleep)
snapstart.register(Loader(plan, print, {}, 0.0))

def lambda_handler(event, context):
    pass
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pinned]:
    folder = tmp_path_factory.mktemp("models")
    return {"onnx": sample(folder / "sample"), "skops": pinned(SAMPLE / "model.skops", "other", folder)}


def run(function: Function, program: str, **environ: str) -> str:
    """Return the last line that a program prints which runs in the function's own process."""
    done = subprocess.run(
        [*isolated_python(), "-c", program],
        cwd=function.folder,
        env={**function.environment, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def snapshot(function: Function, **environ: str) -> dict[str, Any]:
    """Return what is found in a snapshot, and in two copies that are restored from it."""
    return dict(json.loads(run(function, PROGRAM, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start", **environ)))


@pytest.mark.parametrize("through_boto3", [False, True])
def test_a_snapshot_holds_no_connection_no_thread_and_no_credentials(
    through_boto3: bool,
    models: dict[str, Pinned],
) -> None:
    more = {"AWS_DATA_PATH": "/nowhere"} if through_boto3 else {}
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        found = snapshot(function, **more)
    assert found["boto3"] == through_boto3
    assert (found["sockets"], found["threads"], found["session"], found["credentials"]) == ([], [], "None", 0)


@pytest.mark.parametrize(("kind", "generators"), [("onnx", 1), ("skops", 2)])  # Python's own, and numpy's where it is
def test_each_restored_copy_has_random_numbers_of_its_own(
    kind: str, generators: int, models: dict[str, Pinned]
) -> None:
    with stored("aws", models[kind]) as store, prepared("aws", models[kind], store, {}) as function:
        first, second = snapshot(function)["restored"]
    assert len(first) == len(second) == generators
    assert not set(first) & set(second)


def test_without_the_model_there_is_no_snapshot(models: dict[str, Pinned], tmp_path: Path) -> None:
    model = models["onnx"].model
    plan = Plan(model, FolderStore(tmp_path), tmp_path, 1, time.monotonic, time.sleep)
    with pytest.raises(RuntimeError, match="expected its state to be 'ready', found 'waiting'"):
        snapstart.before_snapshot(Loader(plan, lambda _: None, {}, time.monotonic()))


@contextmanager
def started(function: Function, handler: str, event: object) -> Iterator[RuntimeApi]:
    """Lambda's runtime under SnapStart, when it has answered an event or has failed to start."""
    with runtime_api(event) as api:
        environ = {
            **function.environment,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
        }
        log = Log()
        child = Child([*isolated_python(), "-m", "awslambdaric", handler], function.folder, environ, log)
        try:
            assert api.ended.wait(120), log.tail()
            yield api
        finally:
            child.stop(seconds=60)


def test_the_runtime_serves_after_a_restore(models: dict[str, Pinned]) -> None:
    with (
        stored("aws", models["onnx"]) as store,
        prepared("aws", models["onnx"], store, {}) as function,
        started(function, "handler.lambda_handler", http_api_event(HttpRequest("GET", "/health/ready"))) as api,
    ):
        assert api.calls[:3] == ["restore/next", "invocation/next", "invocation/first/response"]
        assert api.answer["statusCode"] == 200


def test_the_runtime_fails_the_start_of_a_version_whose_model_is_not_ready(models: dict[str, Pinned]) -> None:
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        (function.folder / "waiting.py").write_text(WAITING)
        with started(function, "waiting.lambda_handler", {}) as api:
            assert api.calls == ["init/error"]
            assert api.error_type == "Runtime.BeforeSnapshotError"


@pytest.mark.parametrize("start", ["on-demand", "snap-start"])
def test_collections_pass_over_what_a_start_has_made(start: str, models: dict[str, Pinned]) -> None:
    program = """
import gc, handler
from awslambdaric.lambda_runtime_hooks_runner import run_before_snapshot
run_before_snapshot()
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        assert run(function, program, AWS_LAMBDA_INITIALIZATION_TYPE=start) == "True True"


@pytest.mark.parametrize(
    ("start", "primed"), [("on-demand", False), ("snap-start", True), ("provisioned-concurrency", True)]
)
def test_the_first_prediction_belongs_to_a_start_for_which_no_request_waits(
    start: str, primed: bool, models: dict[str, Pinned]
) -> None:
    program = (
        "import time, handler; handler._LOADER.retry(time.monotonic() + 60)"  # where its nine seconds were too few
    )
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        record = json.loads(run(function, program, AWS_LAMBDA_INITIALIZATION_TYPE=start))
    assert (record["state"], "prime" in record["phases_ms"]) == ("ready", primed)


def test_on_demand_nothing_of_it_is_loaded(models: dict[str, Pinned]) -> None:
    program = "import sys, handler; print('snapstart' in sys.modules, 'snapshot_restore_py' in sys.modules)"
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        assert run(function, program) == "False False"
