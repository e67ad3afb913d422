from __future__ import annotations

import gc
import json
import os
import subprocess
from pathlib import Path

import pytest

import execution_environment
from harness import prepared, sample
from pilotlight.start.machine import Machine, here
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.stores import EmbeddedStore

MB = 1 << 20


@pytest.mark.parametrize(("size", "processors"), [(128, 1), (1769, 1), (3008, 1), (3538, 2), (5307, 3), (10240, 4)])
def test_memory_decides_the_processors_up_to_those_that_can_be_seen(
    size: int, processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    found = execution_environment.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(size)})
    assert (found.processors, found.memory) == (processors, size * MB)


@pytest.mark.parametrize(("processors", "processes", "each"), [(4, 8, 1), (4, 2, 2), (1, 16, 1), (8, 1, 8)])
def test_on_managed_instances_a_process_gets_its_part_of_the_processors(
    processors: int, processes: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_environment, "here", lambda: Machine(processors))
    environ = {"AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances"}
    environ |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048", "AWS_LAMBDA_MAX_CONCURRENCY": str(processes)}
    found = execution_environment.machine(environ)
    assert (found.processors, found.processes, found.memory) == (each, processes, 2048 * MB)


def test_free_is_what_this_process_does_not_hold_yet() -> None:
    gc.collect()
    before = execution_environment.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"})
    held = os.urandom(64 * MB)
    after = execution_environment.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"})
    assert 0 < after.free <= before.free - len(held) // 2 < 10240 * MB


def test_without_lambdas_variable_the_machine_is_the_one_that_is_found() -> None:
    assert execution_environment.machine({}).memory == here().memory


def test_a_model_that_cannot_fit_fails_the_start_with_a_sentence_in_a_line(tmp_path: Path) -> None:
    model = sample(tmp_path)
    smallest = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1"}  # what Python itself takes leaves nothing
    with prepared("aws", model, EmbeddedStore(tmp_path.as_uri(), {}), smallest) as function:
        done = subprocess.run(
            [*isolated_python(), "-c", "import handler"],
            cwd=function.folder,
            env=function.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    told = "ModelError: the model does not fit into memory: it needs at least 0.1 MB to load model.onnx"
    assert done.returncode == 1
    assert told in done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["state"] == "failed"
    assert line["error"].startswith(told)
    assert line["error"].endswith("of 1.0 MB only 0.0 MB are free; give the function more memory")
