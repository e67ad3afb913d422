from __future__ import annotations

import os

import pytest

import lambda_machine
from pilotlight.control_groups import here

MB = 1 << 20


@pytest.mark.parametrize(("size", "processors"), [(128, 1), (1769, 1), (3008, 1), (3538, 2), (5307, 3), (10240, 4)])
def test_memory_decides_the_processors_up_to_those_that_can_be_seen(
    size: int, processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    found = lambda_machine.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(size)})
    assert (found.processors, found.memory) == (processors, size * MB)


def test_free_is_what_this_process_does_not_hold_yet() -> None:
    before = lambda_machine.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"})
    held = os.urandom(64 * MB)
    after = lambda_machine.machine({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"})
    assert 0 < after.free <= before.free - len(held) // 2 < 1769 * MB


def test_without_lambdas_variable_the_machine_is_the_one_that_is_found() -> None:
    assert lambda_machine.machine({}).memory == here().memory
