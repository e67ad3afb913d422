"""Two versions in one service: who gets which, what the reply and the log say, and what a broken treatment does."""

from __future__ import annotations

import gzip
import json
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doubles import FunctionModel, MemoryStore, ReadyLoader, Records, StepClock, description
from pilotlight.errors import FormatError, StoreUnavailable
from pilotlight.experiments.assignment import bucket
from pilotlight.experiments.lock import ExperimentLock, Treatment, control_of, load_experiment, write_experiment
from pilotlight.experiments.outcomes import outcome
from pilotlight.experiments.variants import Experiment, open_experiment
from pilotlight.http.messages import Request, Response
from pilotlight.model.lock import Description, Runtime
from pilotlight.model.tensor import BYTES, FP32, Tensor
from pilotlight.service import Service
from pilotlight.start.loading import Loader, Plan
from pilotlight.start.machine import Machine
from pilotlight.telemetry import fields
from waiting import wait_until

CONTROL = replace(description(), runtime=Runtime("onnx", "onnxruntime-python", {"onnxruntime": "1.31.0"}))
TREATMENT = replace(CONTROL, version=4)
BODY = {"features": [1, 2, 3]}

UNITS = [f"user-{number}" for number in range(40)]
TREATED = next(unit for unit in UNITS if bucket("salt", unit) < 5000)
OTHER = next(unit for unit in UNITS if bucket("salt", unit) >= 5000)


def says(label: str) -> Callable[[Sequence[Tensor]], tuple[Tensor, ...]]:
    def predict(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        rows = inputs[0].shape[0]
        return Tensor(BYTES, (rows,), [label] * rows), Tensor(FP32, (rows, 2), array("f", [0.5, 0.5] * rows))

    return predict


def ready(model: Description, label: str) -> ReadyLoader:
    clock = StepClock()
    return ReadyLoader(Plan(model, MemoryStore({}), Path("unused"), 1, clock, clock.sleep), FunctionModel(says(label)))


def lock(**changes: Any) -> ExperimentLock:
    whole = ExperimentLock("salt", "header:x-user-id", control_of(CONTROL), (Treatment(TREATMENT, ((0, 5000),)),))
    return replace(whole, **changes)


class Case:
    """A service whose control says "small", and an experiment whose treatment says "large"."""

    def __init__(
        self, pinned: ExperimentLock | None = None, loader: Loader | None = None, now: str = "2026-12-03T00:00:00Z"
    ) -> None:
        self.records, self.clock = Records(), StepClock()
        experiment = Experiment(
            pinned or lock(),
            [loader or ready(TREATMENT, "large")],
            clock=self.clock,
            now=lambda: now,
            draw=lambda: TREATED,
        )
        self.service = Service(
            CONTROL,
            ready(CONTROL, "small"),
            self.records,
            max_body_bytes=100_000,
            clock=self.clock,
            experiment=experiment,
        )

    def post(self, path: str, body: object, **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content = json.dumps(body).encode()
        return self.service.handle(Request("POST", path, sent, content, claims={"sub": TREATED}))

    def predict(self, unit: str = "") -> tuple[int, str | None]:
        """Return the version that answers /predict, and the reply's variant."""
        response = self.post("/predict", BODY, **({"x_user_id": unit} if unit else {}))
        version: int = json.loads(response.body)["model_version"]
        return version, response.headers.get("x-pilotlight-variant")

    @property
    def logged(self) -> dict[str, object]:
        """The experiment's fields of the last request's line."""
        line = fields(self.records.served[-1])
        names = ("model_version", "experiment", "variant", "assigned", "bucket", "labels", "score")
        return {name: line[name] for name in names if name in line}


V2 = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
ROUTES = [
    ("/predict", BODY),
    ("/predict_batch", {"instances": [[1, 2, 3]]}),
    ("/v1/models/example:predict", {"instances": [[1, 2, 3]]}),
    ("/v2/models/example/infer", V2),
    ("/invocations", {"inputs": [[1, 2, 3]]}),
]


@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize(("unit", "label", "variant"), [(TREATED, "large", "example:4"), (OTHER, "small", "control")])
def test_each_route_answers_by_the_variant_of_the_unit_and_says_which(
    path: str, body: object, unit: str, label: str, variant: str
) -> None:
    case = Case()
    response = case.post(path, body, x_user_id=unit)
    assert response.status == 200
    assert label in response.body.decode()
    assert response.headers["x-pilotlight-variant"] == variant
    expected = {
        "model_version": 4 if label == "large" else 3,
        "experiment": "salt",
        "variant": variant,
        "assigned": variant,
        "bucket": bucket("salt", unit),
        "labels": {label: 1},
    }
    assert case.logged == expected


def test_an_error_belongs_to_the_variant_that_the_unit_has() -> None:
    case = Case()
    assert case.post("/predict", {"features": [1]}, x_user_id=TREATED).status == 400
    assert case.logged["assigned"] == "example:4"
    assert "labels" not in case.logged


@pytest.mark.parametrize(
    ("found", "is_classifier", "expected"),
    [
        (["a", "b", "a", None], True, {"labels": {"a": 2, "b": 1}}),
        ([True, 1], True, {"labels": {"True": 1, "1": 1}}),
        ([*(f"label {number // 2}" for number in range(44))], True, 22),
        ([1.5, 2.5], False, {"score": 2.0}),
        ([1.5, None], False, {"score": None}),
        ([[1.0, 2.0]], False, {}),
        ([{"a": 1.0, "b": 2.0}], False, {}),
    ],
)
def test_the_line_says_how_many_rows_have_each_label_or_the_mean_of_the_scores(
    found: list[Any], is_classifier: bool, expected: Any
) -> None:
    """No value of a row; of many labels the most frequent ones, and the others together."""
    noted = outcome(found, is_classifier=is_classifier)
    if expected == 22:
        labels = noted["labels"]
        assert isinstance(labels, dict)
        assert (len(labels), labels["other"], sum(labels.values())) == (21, 4, 44)
    else:
        assert noted == expected


def test_the_lines_of_many_threads_have_each_its_own_outcome_and_the_watch_sees_all() -> None:
    case, seen = Case(), list[int]()
    case.service.plane.watch = lambda inputs, _: seen.append(inputs[0].shape[0])
    sizes = range(1, 40)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda rows: case.post("/predict_batch", {"instances": [[1, 2, 3]] * rows}, x_user_id=OTHER), sizes
            )
        )
    lines = [fields(record) for record in case.records.served]
    assert sorted(seen) == sorted(line["rows"] for line in lines) == list(sizes)  # type: ignore[type-var]
    assert all(line["labels"] == {"small": line["rows"]} for line in lines)


@pytest.mark.parametrize(
    ("pinned", "sent"),
    [
        (lock(unit="claim:sub"), {}),
        (lock(unit="field:user_id"), {"body": {**BODY, "user_id": TREATED}}),
        (lock(), {"x_user_id": f"  {TREATED} "}),
        (lock(unit="request"), {}),
        (lock(is_random_without=True), {}),
    ],
    ids=["claim", "field", "header", "request", "random without a unit"],
)
def test_the_unit_is_a_header_a_claim_or_a_field_or_drawn_for_each_request(
    pinned: ExperimentLock, sent: dict[str, Any]
) -> None:
    sent = {"body": BODY, **sent}
    assert Case(pinned).post("/predict", **sent).headers["x-pilotlight-variant"] == "example:4"


def test_a_number_as_an_id_is_its_digits_and_other_values_are_none() -> None:
    pinned = lock(unit="field:id", treatments=(Treatment(TREATMENT, ((0, 10_000),)),))
    case = Case(pinned)
    for value, assigned in ((42, True), ("42", True), (True, False), (1.5, False), ("", False), (None, False)):
        case.post("/predict", {**BODY, "id": value})
        assert ("assigned" in case.logged) == assigned, value


def test_a_field_is_taken_out_of_a_body_that_was_compressed_too() -> None:
    case = Case(lock(unit="field:user_id"))
    content = gzip.compress(json.dumps({**BODY, "user_id": TREATED}).encode())
    response = case.service.handle(Request("POST", "/predict", {"content-encoding": "gzip"}, content))
    assert (response.status, response.headers["x-pilotlight-variant"]) == (200, "example:4")


def test_the_text_of_a_header_is_one_text_whatever_a_server_makes_of_its_bytes() -> None:
    case = Case(lock(treatments=(Treatment(TREATMENT, ((bucket("salt", "Zoë"), bucket("salt", "Zoë") + 1),)),)))
    assert case.predict("Zoë")[1] == case.predict("Zoë".encode().decode("latin-1"))[1] == "example:4"


def test_a_request_without_a_unit_gets_the_control_and_counts_for_no_variant() -> None:
    case = Case()
    assert case.predict() == (3, "control")
    assert "assigned" not in case.logged


@pytest.mark.parametrize(
    ("now", "variant"),
    [
        ("2026-12-01T23:59:59Z", None),
        ("2026-12-02T00:00:00Z", "example:4"),
        ("2026-12-08T23:59:59Z", "example:4"),
        ("2026-12-09T00:00:00Z", None),
    ],
)
def test_before_the_start_and_from_the_end_on_all_get_the_control(now: str, variant: str | None) -> None:
    case = Case(lock(start="2026-12-02T00:00:00Z", end="2026-12-09T00:00:00Z"), now=now)
    assert case.predict(TREATED) == (4 if variant else 3, variant)


@pytest.mark.parametrize(
    ("path", "header", "status", "version"),
    [
        ("/predict", "control", 200, 3),
        ("/predict", "example:4", 200, 4),
        ("/predict", "example:5", 400, 3),
        ("/v2/models/example/versions/3/infer", "", 200, 3),
        ("/v2/models/example/versions/4/infer", "", 200, 4),
        ("/v2/models/example/versions/5/infer", "", 404, 3),
    ],
)
def test_who_names_a_version_or_a_variant_gets_it_and_counts_for_none(
    path: str, header: str, status: int, version: int
) -> None:
    for unit in (TREATED, OTHER):
        case = Case()
        named = {"x_pilotlight_variant": header} if header else {}
        assert case.post(path, V2 if "v2" in path else BODY, x_user_id=unit, **named).status == status
        assert case.logged["model_version"] == version
        assert "assigned" not in case.logged


def plan(store: MemoryStore, folder: Path, clock: StepClock) -> Plan:
    return Plan(CONTROL, store, folder, 1, clock, clock.sleep, machine=Machine(free=1 << 30))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "experiment.lock"
    file.write_text(json.dumps(write_experiment(lock())))
    return file


@pytest.mark.parametrize(
    ("store", "state"),
    [
        (MemoryStore({"example/4/model.onnx": b"other bytes of a mode"}), "failed"),
        (MemoryStore({}), "waiting"),
        (MemoryStore({}, [StoreUnavailable("503")] * 1000), "waiting"),
    ],
    ids=["other bytes", "no such object", "no store"],
)
def test_a_treatment_that_does_not_load_leaves_its_units_to_the_control(
    path: Path, store: MemoryStore, state: str
) -> None:
    records, clock = Records(), StepClock()
    experiment = open_experiment(
        path,
        plan(store, path.parent, clock),
        records,
        lambda _: path.parent / "files",
        now=lambda: "2026-12-03T00:00:00Z",
    )
    served = Service(
        CONTROL, ready(CONTROL, "small"), records, max_body_bytes=100_000, clock=clock, experiment=experiment
    )
    request = Request("POST", "/predict", {"x-user-id": TREATED}, json.dumps(BODY).encode())
    for _ in range(3):
        response = served.handle(request)
        assert (response.status, response.headers["x-pilotlight-variant"]) == (200, "control")
    wait_until(lambda: experiment.states() == {"example:4": state}, limit=60)
    health = json.loads(served.handle(Request("GET", "/health")).body)
    assert (health["status"], health["variants"]) == ("ready", {"example:4": state})
    line = fields(records.served[0])
    assert (line["variant"], line["assigned"], line["model_version"]) == ("control", "example:4", 3)
    start = fields(records.cold_starts[0])
    assert (start["event"], start["variant"], start["state"]) == ("variant_start", "example:4", state)


def test_the_control_s_first_answer_comes_before_any_treatment_is_fetched(path: Path) -> None:
    store, records, clock = MemoryStore({}), Records(), StepClock()
    experiment = open_experiment(
        path, plan(store, path.parent, clock), records, lambda _: path.parent / "files", now=lambda: ""
    )
    served = Service(
        CONTROL, ready(CONTROL, "small"), records, max_body_bytes=100_000, clock=clock, experiment=experiment
    )
    request = Request("POST", "/predict", {"x-user-id": OTHER}, json.dumps(BODY).encode())
    assert served.handle(request).status == 200
    assert experiment.states() == {"example:4": "waiting"}
    assert store.fetched == []
    served.handle(request)
    wait_until(lambda: bool(store.fetched), limit=60)


@pytest.mark.parametrize(
    ("pinned", "message"),
    [
        (replace(CONTROL, version=5), r"experiment.lock: \$.control: the control is example:3, and model.lock pins"),
        (
            replace(CONTROL, files=(replace(CONTROL.files[0], sha256="0" * 64),)),
            "with other files; stop the experiment",
        ),
        (
            replace(CONTROL, runtime=replace(CONTROL.runtime, packages={"onnxruntime": "1.31.1"})),
            r"\$.treatments\[0\].runtime: example:4 runs on .* expected .*onnxruntime 1.31.1, which model.lock pins",
        ),
    ],
)
def test_an_experiment_about_another_pin_is_refused(tmp_path: Path, pinned: Description, message: str) -> None:
    with_packages = replace(TREATMENT, runtime=replace(TREATMENT.runtime, packages={"onnxruntime": "1.30.0"}))
    about = lock(treatments=(Treatment(with_packages, ((0, 1),)),))
    (tmp_path / "experiment.lock").write_text(json.dumps(write_experiment(about)))
    with pytest.raises(FormatError, match=message):
        load_experiment(tmp_path / "experiment.lock", pinned)
