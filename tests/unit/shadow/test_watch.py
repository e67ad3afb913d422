"""A shadow in its own process: what a request gets and waits for, whatever the shadow does, and what is counted."""

from __future__ import annotations

import json
import os
import signal
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import onnx_models
from doubles import FunctionModel, MemoryStore, ReadyLoader, Records, StepClock, description
from pilotlight.errors import FormatError
from pilotlight.experiments.lock import control_of
from pilotlight.fetch import FolderStore
from pilotlight.http.messages import Request
from pilotlight.model.lock import Description, Runtime
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32, Tensor
from pilotlight.service import Service
from pilotlight.shadow.lock import ShadowLock, load_shadow, write_shadow
from pilotlight.shadow.watch import Shadow
from pilotlight.start.loading import Plan
from pilotlight.start.machine import Machine
from pilotlight.telemetry import Summary, fields
from waiting import wait_until

NUMBERS = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
PINNED = replace(
    description(NUMBERS), runtime=Runtime("onnx", "onnxruntime-python", {"onnxruntime": version("onnxruntime")})
)
BODY = json.dumps({"instances": [1.0, 2.0, 3.0]}).encode()


def garbage(folder: Path) -> Path:
    file = folder / "model.onnx"
    file.write_bytes(b"no model")
    return file


def moved(folder: Path) -> Path:
    return onnx_models.plus(folder, 0.5, ("N",))


class Case:
    """A service that answers its inputs, and a shadow of it whose process runs a model file."""

    def __init__(self, file: Path, folder: Path, **options: Any) -> None:
        model = replace(description(NUMBERS, file.read_bytes()), version=4, runtime=PINNED.runtime)
        target = folder / "store" / model.key("model.onnx")
        target.parent.mkdir(parents=True)
        target.write_bytes(file.read_bytes())
        self.records, clock = Records(), StepClock()
        plan = Plan(PINNED, MemoryStore({}), folder, 1, clock, clock.sleep)
        loader = ReadyLoader(plan, FunctionModel(same))
        self.service = Service(PINNED, loader, self.records, max_body_bytes=1_000_000, clock=clock)
        own = replace(plan, model=model, store=FolderStore(folder / "store"), folder=folder / "model")
        lock = ShadowLock(control_of(PINNED), options.pop("sample", 10_000), model)
        options = {"machine": Machine} | options
        self.shadow = Shadow(lock, own, self.service.plane, self.records, **options)

    def post(self) -> bytes:
        headers = {"content-type": "application/json", "x-request-id": "one"}
        return self.service.handle(Request("POST", "/predict_batch", headers, BODY)).body

    def done(self) -> None:
        wait_until(lambda: self.shadow.wait(0), 60)

    @property
    def counted(self) -> dict[str, Any]:
        """What the lines so far say, and what the next one would."""
        summary = self.shadow._take()
        lines = [fields(record) for record in self.records.all if isinstance(record, Summary)]
        parts: list[Any] = [*lines, fields(summary) if summary else {}]
        sums = {name: sum(part.get(name, 0) for part in parts) for name in ("calls", "compared", "dropped", "rows")}
        failed = [part["failed"] for part in parts if part.get("failed")]
        return sums | {"failed": failed, "outputs": [part["outputs"] for part in parts if part.get("outputs")]}


def same(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (Tensor(FP32, inputs[0].shape, inputs[0].data),)


@contextmanager
def cased(file: Path, folder: Path, **options: Any) -> Iterator[Case]:
    """Run a case, and end its process."""
    case = Case(file, folder, **options)
    try:
        yield case
    finally:
        if case.shadow._process:
            case.shadow._process.end()


def alone() -> bytes:
    clock = StepClock()
    loader = ReadyLoader(Plan(PINNED, MemoryStore({}), Path("none"), 1, clock, clock.sleep), FunctionModel(same))
    service = Service(PINNED, loader, Records(), max_body_bytes=1_000_000, clock=clock)
    headers = {"content-type": "application/json", "x-request-id": "one"}
    return service.handle(Request("POST", "/predict_batch", headers, BODY)).body


FAILURES: list[tuple[str, Callable[[Path], Path], dict[str, Any], str]] = [
    ("cannot be loaded", garbage, {}, "load"),
    ("answers in another shape", lambda folder: onnx_models.repeating(folder, 2), {}, "error"),
    ("never ends", onnx_models.endless, {"answer_seconds": 2.0}, "time"),
    (
        "wants more memory than there is",
        lambda folder: onnx_models.repeating(folder, 1 << 30),
        {"machine": lambda: Machine(1, 4 << 30, 2 << 30)},
        "memory",
    ),
    ("does not fit", moved, {"machine": lambda: Machine(1, 1, 1)}, "load"),
]


@pytest.mark.parametrize(("what", "make", "options", "reason"), FAILURES, ids=[what for what, *_ in FAILURES])
def test_a_request_gets_its_bytes_whatever_the_shadow_does(
    what: str, make: Callable[[Path], Path], options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with cased(make(tmp_path), tmp_path, **options) as case:
        assert case.post() == alone(), what
        case.done()
        counted = case.counted
    assert counted["failed"] == [{reason: 1}]
    assert (counted["calls"], counted["compared"]) == (1, 0)


def test_a_process_that_hangs_is_ended_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with cased(moved(tmp_path), tmp_path, answer_seconds=1.0) as case:
        case.post()
        case.done()
        assert case.shadow._process is not None
        child = case.shadow._process.id
        os.kill(child, signal.SIGSTOP)
        assert {case.post() for _ in range(200)} == {alone()}  # more than the queue holds
        assert not case.shadow.wait(0)
        case.done()
        counted = case.counted

    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert counted["failed"] == [{"time": 1}]
    assert (counted["calls"], counted["compared"], counted["dropped"]) == (201, 1, 199)


def test_a_process_that_is_killed_costs_one_call(tmp_path: Path) -> None:
    with cased(moved(tmp_path), tmp_path) as case:
        case.post()
        case.done()
        assert case.shadow._process is not None
        os.kill(case.shadow._process.id, signal.SIGKILL)
        assert case.post() == alone()
        case.done()
        assert case.counted["failed"] == [{"ended": 1}]


def test_what_it_answers_is_counted_and_not_served(tmp_path: Path) -> None:
    with cased(moved(tmp_path), tmp_path) as case:
        assert {case.post() for _ in range(10)} == {alone()}
        case.done()
        counted = case.counted
        states = [(start.variant, start.state) for start in case.records.cold_starts]

    assert states == [("example:4 (shadow)", "ready")]
    assert (counted["compared"], counted["rows"], counted["failed"]) == (10, 30, [])
    assert [one["largest"] for (one,) in counted["outputs"]] == [0.5, 0.5]
    assert sum(one["values"] for (one,) in counted["outputs"]) == 30


def test_threads_count_each_call_once(tmp_path: Path) -> None:
    with cased(moved(tmp_path), tmp_path) as case:
        threads = [threading.Thread(target=lambda: [case.post() for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        case.done()
        counted = case.counted
    assert counted["calls"] == 200
    assert counted["compared"] + counted["dropped"] == 200


def test_a_sample_of_the_requests_is_seen(tmp_path: Path) -> None:
    with cased(garbage(tmp_path), tmp_path, sample=1) as case:
        for _ in range(50):
            case.post()
        case.done()
        counted = case.counted
    assert counted["calls"] == 50
    assert counted["dropped"] + sum(sum(one.values()) for one in counted["failed"]) < 10


def test_a_shadow_of_another_version_is_refused(tmp_path: Path) -> None:
    shadow = replace(PINNED, version=4)
    path = tmp_path / "shadow.lock"
    path.write_text(json.dumps(write_shadow(ShadowLock(control_of(PINNED), 100, shadow))))
    assert load_shadow(path, PINNED).variant == "example:4"

    def refusal(model: Description) -> str:
        with pytest.raises(FormatError) as caught:
            load_shadow(path, model)
        return str(caught.value)

    assert "the control is example:3, and model.lock pins example:5" in refusal(replace(PINNED, version=5))
    other = Runtime("onnx", "onnxruntime-python", {"onnxruntime": "9.9"})
    assert "shadow.lock: $.model.runtime: example:4 runs on" in refusal(replace(PINNED, runtime=other))


def test_numbers_of_calls_do_not_change_with_the_data(tmp_path: Path) -> None:
    """A buffer of any kind arrives as it is."""
    with cased(moved(tmp_path), tmp_path) as case:
        for data in (array("f", [1.0]), bytearray(array("f", [2.0])), memoryview(array("f", [3.0]))):
            case.service.plane.run([Tensor(FP32, (1,), data)], 1)
        case.done()
        assert case.counted["compared"] == 3
