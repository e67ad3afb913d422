"""Requests that run together: each gets what it gets alone, the model runs less often, and nobody waits too long."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from random import Random

import pytest
import requests

from doubles import FEATURES, PAIR, FunctionModel, service
from harness import in_server, pinned, stored
from models import new_seed
from onnx_models import LOOKUP_GOLDEN, lookup
from pilotlight.errors import InvalidRequest, PredictionTimeout
from pilotlight.http.messages import Request
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, INT64, Tensor
from pilotlight.service import Service
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from server_batching import Batches, join_requests, threads
from waiting import wait_until

LATER = 60.0
ROUNDS = int(os.environ.get("BATCHING_ROUNDS", "30"))
REFUSED = -1.0
BROKEN = -2.0
ONE_AT_A_TIME = Signature((Input("x", FP32, (1, 3), "features"),), (Output("y", FP32, (1, 1), "tensor"),))
WITHOUT_ROWS = Signature((Input("x", FP32, (3,), "tensor"),), (Output("y", FP32, (3,), "tensor"),))


class Doubling:
    """A model that doubles its first input, refuses one value, breaks at another, and knows its runs' rows."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.is_held = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        self.runs.append(inputs[0].shape[0])
        self.is_held.set()
        assert self.goes_on.wait(LATER)
        values = inputs[0].values()
        if REFUSED in values:
            raise InvalidRequest("the model refuses the value")
        if BROKEN in values:
            raise OSError("a library's own error")
        return (Tensor(FP32, inputs[0].shape, struct.pack(f"{len(values)}f", *(2 * value for value in values))),)


def rows_of(*values: float) -> tuple[Tensor, ...]:
    return (Tensor(FP32, (len(values), 1), struct.pack(f"{len(values)}f", *values)),)


def together(calls: Sequence[Callable[[], object]]) -> list[object]:
    """Return what each call returns or raises; all begin at the same time, each in a thread."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], object]) -> object:
        barrier.wait(LATER)
        try:
            return one()
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            return type(error), str(error)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def predictions(batches: Batches, model: FunctionModel, *groups: Sequence[float]) -> list[object]:
    def of(values: Sequence[float]) -> Callable[[], object]:
        return lambda: [*batches.predict(model, rows_of(*values), LATER)[0].values()]

    return together([of(values) for values in groups])


def test_callers_up_to_a_full_batch_run_as_one_and_get_their_own_rows() -> None:
    doubling = Doubling()
    batches = Batches(8, LATER / 2)  # nobody waits so long: the batch is full before
    groups = [[1.0], [2.0, 3.0], [4.0], [5.0, 6.0, 7.0], [8.0]]
    found = predictions(batches, FunctionModel(doubling), *groups)
    assert found == [[2 * value for value in group] for group in groups]
    assert doubling.runs == [8]


def test_each_run_tells_its_rows_the_waits_of_its_requests_and_who_waits() -> None:
    doubling, told = Doubling(), list[tuple[int, Sequence[float], int]]()
    model, batches = FunctionModel(doubling), Batches(2, LATER / 2, lambda *run: told.append(run))
    doubling.goes_on.clear()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(batches.predict, model, rows_of(number), LATER) for number in (1.0, 2.0)]
        assert doubling.is_held.wait(LATER)
        began = time.monotonic()
        calls += [pool.submit(batches.predict, model, rows_of(number), LATER) for number in (3.0, 4.0)]
        wait_until(lambda: batches._waiting == 2, LATER)
        time.sleep(0.1)
        doubling.goes_on.set()
        assert [call.result(LATER)[0].values() for call in calls] == [[2.0], [4.0], [6.0], [8.0]]
    assert [(rows, waiting) for rows, _, waiting in told] == [(2, 2), (2, 2)]
    assert all(0.1 <= wait < time.monotonic() - began for wait in told[1][1])
    assert batches._waiting == 0


def test_a_batch_that_is_not_full_runs_when_its_first_caller_has_waited() -> None:
    doubling = Doubling()
    assert predictions(Batches(1000, 0.2), FunctionModel(doubling), [1.0]) == [[2.0]]
    assert doubling.runs == [1]


def test_a_batch_grows_while_another_one_runs() -> None:
    doubling, window = Doubling(), 1.0
    model, batches = FunctionModel(doubling), Batches(2, window)
    doubling.goes_on.clear()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(batches.predict, model, rows_of(number), LATER) for number in (1.0, 2.0)]
        assert doubling.is_held.wait(LATER)
        calls.append(pool.submit(batches.predict, model, rows_of(3.0), LATER))
        wait_until(lambda: bool(batches._open), LATER)
        time.sleep(1.2 * window)
        calls.append(pool.submit(batches.predict, model, rows_of(4.0), LATER))
        wait_until(lambda: not batches._open, LATER)  # it is full
        assert doubling.runs == [2]
        doubling.goes_on.set()
        assert [call.result(LATER)[0].values() for call in calls] == [[2.0], [4.0], [6.0], [8.0]]
    assert doubling.runs == [2, 2]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (REFUSED, (InvalidRequest, "the model refuses the value")),
        (BROKEN, (OSError, "a library's own error")),
    ],
)
def test_a_bad_request_fails_alone(bad: float, error: object) -> None:
    doubling = Doubling()
    found = predictions(Batches(4, LATER / 2), FunctionModel(doubling), [1.0], [bad], [3.0], [4.0])
    assert found == [[2.0], error, [6.0], [8.0]]
    assert doubling.runs == [4, 1, 1, 1, 1]


def test_outputs_without_a_row_for_each_are_given_to_nobody() -> None:
    def first_row(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return (Tensor(FP32, (1, 1), bytes(inputs[0].data)[:4]),)  # type: ignore[arg-type]

    found = predictions(Batches(2, LATER / 2), FunctionModel(first_row), [1.0], [2.0])
    assert found == [[1.0], [2.0]]


def test_inputs_of_other_shapes_or_kinds_are_not_joined() -> None:
    runs: list[tuple[object, ...]] = []

    def identity(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        runs.append((inputs[0].shape, type(inputs[0].data) is list))
        return tuple(inputs)

    batches, model = Batches(2, LATER / 2), FunctionModel(identity)
    narrow, wide = Tensor(FP32, (1, 2), bytes(8)), Tensor(FP32, (1, 3), bytes(12))
    strings = Tensor(BYTES, (1, 2), ["a", "b"])
    together([lambda one=one: batches.predict(model, (one,), LATER) for one in (narrow, wide, strings) * 2])  # type: ignore[misc]
    assert sorted(runs) == [((2, 2), False), ((2, 2), True), ((2, 3), False)]


@pytest.mark.parametrize(
    ("inputs", "timeout"),
    [
        (rows_of(1.0), 5.0),  # it cannot wait so long
        (rows_of(1.0, 2.0, 3.0, 4.0), LATER),  # a batch by itself
        (rows_of(), LATER),
        ((*rows_of(1.0), *rows_of(1.0, 2.0)), LATER),
        ((Tensor(FP32, (), bytes(4)),), LATER),
    ],
)
def test_what_cannot_wait_or_be_joined_runs_alone_and_at_once(inputs: tuple[Tensor, ...], timeout: float) -> None:
    model = FunctionModel(tuple)
    assert Batches(4, LATER / 2).predict(model, inputs, timeout) == inputs
    assert model.timeouts == [timeout]


def test_a_joined_run_gets_no_more_time_than_the_caller_with_the_least_has() -> None:
    model = FunctionModel(Doubling())
    batches = Batches(2, 10.0)
    together([lambda: batches.predict(model, rows_of(1.0), 20.0), lambda: batches.predict(model, rows_of(1.0), 1000.0)])
    (timeout,) = model.timeouts
    assert timeout is not None
    assert timeout <= 20.0


def test_nobody_waits_for_others_beyond_its_own_deadline() -> None:
    """One of the two leads, and its model does not keep to its time; the other is let go."""
    doubling = Doubling()
    model, batches, barrier = FunctionModel(doubling), Batches(2, 2.0), threading.Barrier(2)
    doubling.goes_on.clear()

    def call() -> list[float]:
        barrier.wait(LATER)
        return batches.predict(model, rows_of(1.0), 3.0)[0].values()

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(call) for _ in range(2)]
        first = next(as_completed(calls, LATER))
        assert isinstance(first.exception(), PredictionTimeout)
        doubling.goes_on.set()
        (other,) = (each for each in calls if each is not first)
        assert other.result(LATER) == [2.0]
    assert doubling.runs == [2]


@pytest.mark.parametrize("signature", [ONE_AT_A_TIME, WITHOUT_ROWS])
def test_a_model_without_batches_of_any_size_is_left_as_it_is(signature: Signature) -> None:
    _is_left(signature, rows=64)


def test_one_row_a_batch_changes_nothing() -> None:
    _is_left(FEATURES, rows=1)


def _is_left(signature: Signature, rows: int) -> None:
    subject = service(signature, tuple)
    before = subject.plane.predict
    join_requests(subject, rows, 0.01, lambda *_: None)
    assert subject.plane.predict is before
    assert not subject.may_wait


@pytest.mark.parametrize(("rows", "expected"), [(1, 16), (8, 16), (32, 64), (1024, 128)])
def test_a_server_has_threads_for_a_batch_that_runs_and_the_next(rows: int, expected: int) -> None:
    assert threads(rows) == expected


def _sum(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Add up each row of integers, and a number for each."""
    left, right = inputs
    if REFUSED in right.values():
        raise InvalidRequest("the model refuses the value")
    if BROKEN in right.values():
        raise OSError("a library's own error")
    width, values = left.shape[1], left.values()
    sums = [sum(values[row * width : (row + 1) * width]) + each for row, each in enumerate(right.values())]
    return (Tensor(FP32, (len(sums),), struct.pack(f"{len(sums)}f", *sums)),)


def _request(random: Random) -> Request:
    """Return a request to PAIR of any number of rows and columns, now and then a bad one."""
    rows, columns = random.choice((1, 1, 1, 2, 3, 9)), random.choice((1, 2, 5))
    numbers: list[object] = [float(random.randrange(1000)) for _ in range(rows)]
    if random.random() < 0.15:
        numbers[random.randrange(rows)] = random.choice((REFUSED, BROKEN, "x", None))
    left = [random.randrange(1000) for _ in range(rows * columns)]
    inputs = [
        {"name": "left", "datatype": INT64.name, "shape": [rows, columns], "data": left},
        {"name": "right", "datatype": FP32.name, "shape": [rows], "data": numbers},
    ]
    body = json.dumps({"id": str(random.random()), "inputs": inputs}).encode()
    return Request("POST", "/v2/models/example/infer", {"content-type": "application/json"}, body, "an-id")


def test_random_requests_at_once_get_the_bytes_that_they_get_alone() -> None:
    random = Random(new_seed())  # noqa: S311 - requests
    runs: list[int] = []

    def counted(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        runs.append(inputs[0].shape[0])
        return _sum(inputs)

    alone, joined = service(PAIR, _sum), service(PAIR, counted)
    join_requests(joined, 16, 0.005, lambda *_: None)
    asked = good = 0
    for _ in range(ROUNDS):
        requests_made = [_request(random) for _ in range(24)]
        expected = [alone.handle(request) for request in requests_made]

        def handled(subject: Service, request: Request) -> Callable[[], object]:
            return lambda: subject.handle(request)

        found = together([handled(joined, request) for request in requests_made])
        assert found == expected
        asked += len(expected)
        good += sum(each.status == 200 for each in expected)
    assert 0 < good < asked
    assert max(runs) > 9  # some were joined


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FunctionsRuntime]]:
    """Two servers of one model that refuses some values; the second joins requests."""
    path = lookup(tmp_path_factory.mktemp("lookup"))
    golden = path.with_name("golden.json")
    golden.write_text(json.dumps(LOOKUP_GOLDEN))
    model = pinned(path, "lookup", tmp_path_factory.mktemp("pins"), golden=golden)
    joins = {"PILOTLIGHT_SERVER_BATCH": "16", "PILOTLIGHT_SERVER_WAIT_MS": "20"}
    with stored("gcp", model) as store, ExitStack() as stack:
        yield [
            stack.enter_context(in_server(model, store, PILOTLIGHT_SERVER_WORKERS="1", **settings))
            for settings in ({}, joins)
        ]


def test_a_server_that_joins_requests_answers_with_the_same_bytes(servers: list[FunctionsRuntime]) -> None:
    random = Random(new_seed())  # noqa: S311 - requests
    indices = (0, 1, 2, 2, 1, 0, 7, "x")
    documents = [
        {"instances": [[random.choice(indices)] for _ in range(random.choice((1, 1, 2, 5)))]} for _ in range(96)
    ]

    def ask(runtime: FunctionsRuntime, number: int) -> tuple[int, bytes]:
        headers = {"x-request-id": f"number-{number}"}
        reply = requests.post(f"{runtime.url}/predict_batch", json=documents[number], headers=headers, timeout=60)
        return reply.status_code, reply.content

    with ThreadPoolExecutor(32) as pool:
        alone, joined = (list(pool.map(partial(ask, runtime), range(len(documents)))) for runtime in servers)
    assert joined == alone
    assert {status for status, _ in alone} == {200, 400}
