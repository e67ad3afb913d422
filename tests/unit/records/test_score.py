"""Many records at once: what each gets, and how often the model runs for them."""

from __future__ import annotations

import gzip
import json
import struct
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, PAIR, FunctionModel, MemoryStore, ReadyLoader, StepClock, description
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, Tensor
from pilotlight.records.decode import EventRecord
from pilotlight.records.score import Outcome, Scorer, Scoring
from pilotlight.start.loading import Loader, Plan

LATER = 1e9
PACKED = gzip.compress(b"[0.75, 2, 3]", mtime=0)
BOMB = gzip.compress(bytes(100_001), mtime=0)
V2 = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
ONE_AT_A_TIME = Signature((Input("x", FP32, (1, 3), "features"),), (Output("y", FP32, (1, 1), "tensor"),))


class Counted(FunctionModel):
    """A model that knows how many rows each of its runs had, and takes `seconds` for a run and for a row."""

    def __init__(self, signature: Signature, clock: StepClock, run: float = 0.0, row: float = 0.0) -> None:
        super().__init__(self._outputs)
        self.runs: list[int] = []
        self._signature = signature
        self._clock = clock
        self._seconds = (run, row)

    def _outputs(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        rows = inputs[0].shape[0]
        self.runs.append(rows)
        self._clock.sleep(self._seconds[0] + self._seconds[1] * rows)
        first = inputs[0].values()
        width = len(first) // rows
        firsts = [first[row * width] for row in range(rows)]
        if "refused" in firsts or -1.0 in firsts:
            raise InvalidRequest("the model refuses the value")
        if -2.0 in firsts:
            raise OSError("a library's own error")
        return tuple(_output(output, firsts) for output in self._signature.outputs)


def _output(output: Output, firsts: list[Any]) -> Tensor:
    """Return an output whose every value is the first value of its row's inputs, or tells whether that is large."""
    shape = (len(firsts), *output.shape[1:])
    if output.datatype is BYTES:
        return Tensor(BYTES, shape, ["large" if value >= 0.5 else "small" for value in firsts])
    width = Tensor(FP32, output.shape[1:], b"").count
    numbers = [float(len(value)) if isinstance(value, str) else float(value) for value in firsts for _ in range(width)]
    return Tensor(FP32, shape, struct.pack(f"{len(numbers)}f", *numbers))


def scorer(signature: Signature, *, max_bytes: int = 100_000, **seconds: float) -> tuple[Scorer, Counted, StepClock]:
    clock = StepClock()
    model = Counted(signature, clock, **seconds)
    described = description(signature)
    loader = ReadyLoader(Plan(described, MemoryStore({}), Path("unused"), 1, clock, clock.sleep), model)
    plane = DataPlane(described, loader, clock=clock)
    return Scorer(plane, max_bytes=max_bytes, clock=clock), model, clock


def features(*values: float) -> str:
    return json.dumps({"features": values})


def records(*payloads: Any, **attributes: str) -> list[EventRecord]:
    names = {name.replace("_", "-"): value for name, value in attributes.items()}
    return [EventRecord(str(index), payload, names) for index, payload in enumerate(payloads)]


def score(signature: Signature, *payloads: Any, **attributes: str) -> Scoring:
    return scorer(signature)[0].score(records(*payloads, **attributes), LATER)


def failure(outcome: Outcome) -> tuple[str, str, str | None]:
    assert outcome.error is not None
    return outcome.error.code, outcome.error.message, outcome.error.path


@pytest.mark.parametrize(
    ("payload", "attributes"),
    [
        ('{"features": [0.75, 2, 3]}', {}),
        (b'{"features": [0.75, 2, 3]}', {}),
        ('{"features": {"depth": 3, "width": 2, "height": 0.75}}', {"content_type": "application/json"}),
        ("[0.75, 2, 3]", {}),
        ('{"depth": 3, "width": 2, "height": 0.75}', {}),
        ({"depth": 3, "width": 2, "height": 0.75}, {}),
        ("0.75,2,3", {}),
        (b"\xef\xbb\xbf0.75,2,3\r\n", {"content_type": "text/csv; charset=utf-8"}),
        ('"0.75",2,3', {"content_type": "text/csv"}),
        (b64encode(b'{"features": [0.75, 2, 3]}'), {"content_encoding": "base64"}),
        (b64encode(b"0.75,2,3").decode(), {"content_encoding": "BASE64"}),
        (gzip.compress(b"0.75,2,3", mtime=0), {"content_encoding": "gzip"}),
        (gzip.compress(b"0.75,", mtime=0) + gzip.compress(b"2,3", mtime=0), {"content_encoding": "x-gzip"}),
        (gzip.compress(b'{"features": [0.75, 2, 3]}', mtime=0), {}),
        (b64encode(gzip.compress(b"[0.75, 2, 3]", mtime=0)), {"content_encoding": "base64"}),
        (b64encode(gzip.compress(b"[0.75, 2, 3]", mtime=0)).decode(), {"content_encoding": "GZIP"}),
        (b64encode(gzip.compress(b"[0.75, 2, 3]", mtime=0)).decode(), {"content_encoding": "gzip, base64"}),
    ],
)
def test_every_form_of_a_record_gets_the_document_of_predict(payload: Any, attributes: dict[str, str]) -> None:
    (outcome,) = score(FEATURES, payload, **attributes).outcomes
    assert outcome.error is None
    assert outcome.result == {
        "prediction": "large",
        "probability": 0.75,
        "probabilities": [0.75, 0.75],
        "model_name": "example",
        "model_version": 3,
    }


@pytest.mark.parametrize(
    ("payload", "attributes", "expected"),
    [
        ("", {}, ("invalid_request", "the body is empty", "$")),
        (features(1, 2), {}, ("invalid_request", "expected 3 features, found 2", "$.features")),
        ('{"features": [1, "x", 3]}', {}, ("invalid_request", 'expected a number (FP32), found "x"', "$.features[1]")),
        ('{"height": 1, "width": 2}', {}, ("invalid_request", 'the feature "depth" is missing', "$")),
        ('{"features": [1, 2, NaN]}', {}, ("invalid_request", "NaN is not JSON, expected a number", "$.features[2]")),
        ("1,2", {}, ("invalid_request", "expected 3 cells, found 2", None)),
        ("1,2,x", {}, ("invalid_request", 'expected a number (FP32), found "x"', 'column "depth"')),
        ("1,2,3\n4,5,6", {}, ("invalid_request", "expected one line of CSV, found 2", None)),
        ("hello", {"content_encoding": "base64"}, ("invalid_request", "the payload is not valid base64:", None)),
        (
            "x",
            {"content_encoding": "br"},
            ("unsupported_media_type", 'found content encoding "br", expected gzip, base64 or none', None),
        ),
        (b"x", {"content_encoding": "gzip"}, ("invalid_request", "the payload is not valid gzip: Not a gzipped", None)),
        (PACKED[:-9], {}, ("invalid_request", "the payload is not valid gzip: Compressed file ended", None)),
        (PACKED[:-8] + bytes(8), {}, ("invalid_request", "the payload is not valid gzip: CRC check failed", None)),
        (BOMB, {}, ("too_large", "the payload has more than 100000 bytes after gzip, the limit", None)),
        (
            b64encode(gzip.compress(BOMB, mtime=0)).decode(),
            {"content_encoding": "gzip"},
            ("too_large", "the payload has more than 100000 bytes after gzip, the limit", None),
        ),
        (
            "x",
            {"content_type": "image/png"},
            ("unsupported_media_type", 'found content type "image/png", expected application/json or text/csv', None),
        ),
        (b"\xff,1,2", {}, ("invalid_request", "the payload is not UTF-8:", None)),
        ("\ud800", {}, ("invalid_request", "the payload contains an unpaired surrogate", None)),
        (" " * 100_001, {}, ("too_large", "the payload has 100001 bytes, the limit is 100000", None)),
        (
            json.dumps({"inputs": [V2], "parameters": {"binary_data_output": True}}),
            {},
            ("invalid_request", 'a record\'s result is JSON: request the output "label" as JSON', "$.outputs"),
        ),
        (features(-1, 2, 3), {}, ("invalid_request", "the model refuses the value", None)),
        (features(-2, 2, 3), {}, ("internal", "the record could not be scored", None)),
    ],
)
def test_a_poison_record_fails_alone_with_its_reason_and_path(
    payload: Any, attributes: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    good = EventRecord("good", features(1, 2, 3))
    for place in range(4):
        mixed = [good] * 3
        mixed.insert(place, EventRecord("poison", payload, records("", **attributes)[0].attributes))
        outcomes = scorer(FEATURES)[0].score(mixed, LATER).outcomes
        assert [outcome.record for outcome in outcomes] == mixed
        code, message, path = failure(outcomes.pop(place))
        assert (code, path) == (expected[0], expected[2])
        assert message.startswith(expected[1])
        assert all(outcome.error is None and outcome.result["prediction"] == "large" for outcome in outcomes)


def test_the_log_gets_the_librarys_own_error_and_the_result_does_not() -> None:
    (outcome,) = score(FEATURES, features(-2, 2, 3)).outcomes
    assert "OSError: a library's own error" in outcome.fault
    assert "OSError" not in failure(outcome)[1]


def test_the_model_runs_once_for_each_shape_and_part() -> None:
    """The first run of a shape is one record: it shows how long a row takes. The next event needs no such run."""
    subject, model, _ = scorer(PAIR)

    def pair(width: int) -> str:
        return json.dumps({"left": list(range(width)), "right": 0.5})

    event = records(*(pair(2 + index % 3) for index in range(90)))
    assert subject.score(event, LATER).runs == len(model.runs) == 6
    assert sorted(model.runs) == [1, 1, 1, 29, 29, 29]
    model.runs.clear()
    assert subject.score(event, LATER).runs == 3
    assert model.runs == [30, 30, 30]
    assert subject.score(records(pair(2), "poison", pair(2)), LATER).rows == 2
    assert model.runs == [30, 30, 30, 2]


def test_a_batch_has_at_most_so_many_bytes() -> None:
    subject, model, _ = scorer(FEATURES, max_bytes=120)  # ten rows of three FP32
    for _ in range(2):
        subject.score(records(*[features(1, 2, 3)] * 25), LATER)
    assert model.runs == [1, 10, 10, 4, 10, 10, 5]


def test_a_model_of_one_instance_at_a_time_runs_once_a_record() -> None:
    subject, model, _ = scorer(ONE_AT_A_TIME)
    outcomes = subject.score(records("1,2,3", "[4, 5, 6]"), LATER).outcomes
    assert [outcome.result["prediction"] for outcome in outcomes] == [1.0, 4.0]
    assert model.runs == [1, 1]


def test_records_of_several_rows_and_forms_share_a_batch_and_get_their_own_results() -> None:
    subject, model, _ = scorer(FEATURES)
    v2 = {"name": "features", "shape": [2, 3], "datatype": "FP32", "data": [0.25, 0, 0, 0.75, 0, 0]}
    forms = records(
        features(1, 0, 0),
        json.dumps({"id": "mine", "inputs": [v2], "outputs": [{"name": "label"}]}),
        json.dumps({"instances": [[0, 0, 0], [1, 0, 0]]}),
    )
    subject.score(forms, LATER)
    model.runs.clear()
    single, inference, batch = (outcome.result for outcome in subject.score(forms, LATER).outcomes)
    assert model.runs == [5]
    assert single["prediction"] == "large"
    assert inference == {
        "model_name": "example",
        "model_version": "3",
        "id": "mine",
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [2], "data": ["small", "large"]}],
    }
    assert batch["predictions"] == ["small", "large"]
    assert batch["probabilities"] == [[0.0, 0.0], [1.0, 1.0]]


def test_columns_and_several_outputs_keep_their_records_apart() -> None:
    cities = [{"city": "x" * index, "rooms": index, "area": 1.5} for index in range(4)]
    rents = score(COLUMNS, *(json.dumps(city) for city in cities), "xxxx,4,1.5").outcomes
    assert [outcome.result["prediction"] for outcome in rents] == [0.0, 1.0, 2.0, 3.0, 4.0]
    images = score(IMAGE, *(json.dumps([[value, 0], [0, 0]]) for value in (3, 5))).outcomes
    assert [outcome.result["prediction"] for outcome in images] == [
        {"scores": [value, value], "hidden": [[value, value], [value, value]]} for value in (3.0, 5.0)
    ]


@pytest.mark.parametrize(("run", "row"), [(1.0, 0.0), (0.0, 1.0)])
def test_what_is_done_before_the_deadline_counts_and_the_rest_fails(run: float, row: float) -> None:
    """50 records and 10 s left: runs of 1 s for any number of rows do them all, rows of 1 s each do nine."""
    subject, model, clock = scorer(FEATURES, run=run, row=row)
    deadline = clock() + 10
    outcomes = subject.score(records(*[features(1, 2, 3)] * 50), deadline).outcomes
    assert clock() < deadline
    done = [outcome for outcome in outcomes if outcome.error is None]
    assert len(done) == sum(model.runs) == (50 if run else 9)
    assert {failure(outcome)[0] for outcome in outcomes[len(done) :]} == (set() if run else {"out_of_time"})


def test_no_time_left_fails_every_record_without_a_run() -> None:
    subject, model, clock = scorer(FEATURES)
    outcomes = subject.score(records(features(1, 2, 3), "poison"), clock() + 0.1).outcomes
    assert [failure(outcome)[0] for outcome in outcomes] == ["out_of_time", "invalid_request"]
    assert model.runs == []


def test_a_model_that_is_not_loaded_fails_the_good_records_for_now() -> None:
    clock, described = StepClock(), description()
    loader = Loader(Plan(described, MemoryStore({}), Path("unused"), 1, clock, clock.sleep), lambda _: None, {}, 0.0)
    loader._state = "failed"
    subject = Scorer(DataPlane(described, loader, clock=clock), max_bytes=1000, clock=clock)
    outcomes = subject.score(records(features(1, 2, 3), "poison"), clock() + 5).outcomes
    assert [failure(outcome)[0] for outcome in outcomes] == ["not_ready", "invalid_request"]


def test_no_records_are_no_runs() -> None:
    assert score(FEATURES) == Scoring([], 0, 0, 0)
