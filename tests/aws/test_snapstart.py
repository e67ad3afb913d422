"""SnapStart: what a snapshot of the function holds, by the runtime's own way of calling its hooks.

The snapshot itself is the platform's; a fork stands in for it here: it is a copy of the process, as a snapshot is.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import snapstart
from harness import Pinned, pinned, prepared, sample, stored
from pilotlight.loading import Loader, Plan
from pilotlight.store import FolderStore
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.project import SAMPLE

PROGRAM = """
import json, os, sys, threading
import handler
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

run_before_snapshot()
boto3 = sys.modules["boto3"]
links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if name.isdigit()
         and os.path.exists(f"/proc/self/fd/{name}")]
found = {
    "sockets": [link for link in links if link.startswith("socket:")],
    "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
    "session": repr(boto3.DEFAULT_SESSION),
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


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pinned]:
    folder = tmp_path_factory.mktemp("models")
    return {"onnx": sample(folder / "sample"), "skops": pinned(SAMPLE / "model.skops", "other", folder)}


def run(function: Function, program: str, **environ: str) -> str:
    """The last line that a program prints which runs in the function's own process."""
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


def snapshot(function: Function) -> dict[str, Any]:
    """What is found in a snapshot, and in two copies that are restored from it."""
    return dict(json.loads(run(function, PROGRAM, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")))


@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_a_snapshot_holds_no_connection_no_thread_and_no_credentials(kind: str, models: dict[str, Pinned]) -> None:
    with stored("aws", models[kind]) as store, prepared("aws", models[kind], store, {}) as function:
        found = snapshot(function)
    assert (found["sockets"], found["threads"], found["session"]) == ([], [], "None")


@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_each_restored_copy_has_random_numbers_of_its_own(kind: str, models: dict[str, Pinned]) -> None:
    with stored("aws", models[kind]) as store, prepared("aws", models[kind], store, {}) as function:
        first, second = snapshot(function)["restored"]
    assert len(first) == len(second) == 2
    assert not set(first) & set(second)


def test_without_the_model_there_is_no_snapshot(models: dict[str, Pinned], tmp_path: Path) -> None:
    model = models["onnx"].model
    plan = Plan(model, FolderStore(tmp_path), tmp_path, 1, time.monotonic, time.sleep)
    with pytest.raises(RuntimeError, match="not ready for a snapshot: its state is 'waiting'"):
        snapstart.before_snapshot(Loader(plan, lambda _: None, {}, time.monotonic()))


def test_on_demand_nothing_of_it_is_loaded(models: dict[str, Pinned]) -> None:
    program = "import sys, handler; print('snapstart' in sys.modules, 'snapshot_restore_py' in sys.modules)"
    with stored("aws", models["onnx"]) as store, prepared("aws", models["onnx"], store, {}) as function:
        assert run(function, program) == "False False"
