from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from doubles import (
    COLUMNS,
    FEATURES,
    NAMES,
    FunctionModel,
    MemoryStore,
    ReadyLoader,
    Records,
    StepClock,
    description,
    service,
)
from pilotlight.errors import InvalidRequest, PredictionTimeout, StoreUnavailable
from pilotlight.http.messages import Request, Response
from pilotlight.model.tensor import BYTES, FP32, Tensor
from pilotlight.service import Service
from pilotlight.start.loading import Loader, Plan
from properties import given, st


def larger_than_six(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Label a row by its sum."""
    values = inputs[0].values()
    sums = [sum(values[start : start + 3]) for start in range(0, len(values), 3)]
    labels = ["large" if total > 6 else "small" for total in sums]
    chances = [chance for label in labels for chance in ((0.25, 0.75) if label == "large" else (0.75, 0.25))]
    return Tensor(BYTES, (len(sums),), labels), Tensor(FP32, (len(sums), 2), array("f", chances))


def post(served: Service, path: str, body: object) -> tuple[Response, Any]:
    response = served.handle(Request("POST", path, {"content-type": "application/json"}, json.dumps(body).encode()))
    return response, json.loads(response.body)


def error(response: Response, status: int, code: str) -> Any:
    """Every way of failing has one shape; the error in it."""
    body = json.loads(response.body)
    assert list(body) == ["error", "code", "path", "request_id"]
    assert (response.status, body["code"]) == (status, code)
    assert body["error"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return body


@pytest.fixture
def classifier() -> Service:
    return service(FEATURES, larger_than_six)


def test_a_prediction_names_label_probability_model_and_version(classifier: Service) -> None:
    response, body = post(classifier, "/predict", {"features": [1, 2, 4]})
    assert response.status == 200
    assert body == {
        "prediction": "large",
        "probability": 0.75,
        "probabilities": [0.25, 0.75],
        "model_name": "example",
        "model_version": 3,
    }


def test_a_batch_answers_each_instance_in_order(classifier: Service) -> None:
    rows = [[1, 2, 4], dict(zip(NAMES, (1, 1, 1), strict=True))]
    _, body = post(classifier, "/predict_batch", {"instances": rows})
    assert body == {
        "predictions": ["large", "small"],
        "probabilities": [[0.25, 0.75], [0.75, 0.25]],
        "model_name": "example",
        "model_version": 3,
    }


def test_a_regressor_predicts_a_number_and_no_probability() -> None:
    rents = service(COLUMNS, lambda inputs: (Tensor(FP32, inputs[0].shape, array("f", [905.5])),))
    _, body = post(rents, "/predict", {"features": ["Kyiv", 2, 50.5]})
    assert body == {"prediction": 905.5, "model_name": "example", "model_version": 3}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ([1, 2, 3], "$", 'expected an object with the field "features", found an array'),
        ({}, "$", 'the field "features" is missing'),
        ({"features": [1, 2, 3], "extra": 1}, "$", 'unknown field "extra", expected only "features"'),
        ({"features": [1, 2]}, "$.features", "expected 3 features, found 2"),
        ({"features": None}, "$.features", "expected 3 features as an array or as an object by name, found null"),
        (
            {"features": {"height": 1, "width": 2, "depth": []}},
            "$.features.depth",
            "expected a number (FP32), found an array",
        ),
    ],
)
def test_a_wrong_body_is_a_400_that_names_the_place(classifier: Service, body: object, path: str, message: str) -> None:
    response, _ = post(classifier, "/predict", body)
    found = error(response, 400, "invalid_request")
    assert (found["path"], found["error"]) == (path, message)


def test_an_unknown_route_is_a_404(classifier: Service) -> None:
    assert error(classifier.handle(Request("GET", "/predictions")), 404, "not_found")["path"] is None


def test_another_method_is_a_405_that_names_the_right_ones(classifier: Service) -> None:
    response = classifier.handle(Request("GET", "/predict"))
    error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(("path", "methods"), [("/predict", "POST, OPTIONS"), ("/health", "GET, HEAD, OPTIONS")])
def test_options_tells_what_a_route_takes(classifier: Service, path: str, methods: str) -> None:
    response = classifier.handle(Request("OPTIONS", path))
    assert (response.status, response.headers["allow"], response.body) == (204, methods, b"")


def test_a_head_is_a_get_without_its_body(classifier: Service) -> None:
    asked, head = classifier.handle(Request("GET", "/health")), classifier.handle(Request("HEAD", "/health"))
    assert (head.status, head.body) == (200, b"")
    assert head.headers.keys() == asked.headers.keys()
    assert classifier.handle(Request("HEAD", "/predict")).status == 405


def test_another_media_type_is_a_415(classifier: Service) -> None:
    request = Request("POST", "/predict", {"content-type": "text/csv"}, b"1,2,3")
    error(classifier.handle(request), 415, "unsupported_media_type")


def test_a_body_over_the_limit_is_a_413_and_at_the_limit_it_is_not() -> None:
    body = json.dumps({"features": [1, 2, 4]}).encode()
    limited = service(FEATURES, larger_than_six, max_body_bytes=200)
    padded = body + b" " * (200 - len(body))
    assert limited.handle(Request("POST", "/predict", {}, padded)).status == 200
    error(limited.handle(Request("POST", "/predict", {}, padded + b" ")), 413, "too_large")


def test_a_reply_over_the_limit_is_a_413_that_says_so() -> None:
    limited = service(FEATURES, larger_than_six, max_body_bytes=150)
    response, body = post(limited, "/predict_batch", {"instances": [[1, 2, 4]] * 10})
    error(response, 413, "too_large")
    assert body["error"].endswith("the limit is 150; send fewer rows")


def test_the_limit_of_a_reply_is_that_of_a_description_too() -> None:
    limited = service(FEATURES, larger_than_six, max_body_bytes=1000)
    response = limited.handle(Request("GET", "/openapi.json"))
    assert error(response, 413, "too_large")["error"].endswith("the limit is 1000")


def test_values_that_a_model_refuses_are_a_400_and_what_it_says_goes_to_the_log() -> None:
    def refuse(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        raise InvalidRequest("the model does not accept these values") from ValueError("unknown category 'Lviv'")

    records = Records()
    response, body = post(service(FEATURES, refuse, records=records), "/predict", {"features": [1, 2, 3]})
    error(response, 400, "invalid_request")
    assert "Lviv" not in str(body)
    assert records.served[0].error == "ValueError: unknown category 'Lviv'"


def test_what_a_model_raises_goes_to_the_log_and_not_to_the_caller() -> None:
    def fail(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        raise RuntimeError("secret")

    records = Records()
    response, _ = post(service(FEATURES, fail, records=records), "/predict", {"features": [1, 2, 3]})
    assert error(response, 500, "internal")["error"] == "the request could not be answered"
    assert "secret" not in str(response)
    assert "RuntimeError: secret" in records.served[0].error


def test_a_model_that_mixes_up_its_rows_is_never_believed() -> None:
    response, _ = post(
        service(FEATURES, lambda _: larger_than_six([Tensor(FP32, (2, 3), array("f", range(6)))])),
        "/predict",
        {"features": [1, 2, 3]},
    )
    error(response, 500, "internal")


def test_the_platforms_request_id_is_kept_and_else_one_is_made(classifier: Service) -> None:
    assert classifier.handle(Request("GET", "/health", id="given")).headers["x-request-id"] == "given"
    made = {classifier.handle(Request("GET", "/health")).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2


def test_each_request_leaves_one_record() -> None:
    records = Records()
    served = service(COLUMNS, lambda inputs: (Tensor(FP32, inputs[0].shape, array("f", [1, 9000])),), records=records)
    post(served, "/predict_batch", {"instances": [["a", 1, 2], ["b", 3, 4]]})
    served.handle(Request("GET", "/nowhere", trace={"trace": "t"}))
    good, bad = records.served
    assert (good.route, good.status, good.rows, good.out_of_range, good.code) == ("/predict_batch", 200, 2, 1, "")
    assert good.model_name == "example"
    assert good.request_bytes > 0 < good.response_bytes
    assert (bad.route, bad.status, bad.code, bad.trace) == ("", 404, "not_found", {"trace": "t"})


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/startup"])
def test_readiness_is_503_until_the_model_is_loaded_and_sets_the_next_try_going(path: str, tmp_path: Path) -> None:
    clock, records = StepClock(), Records()
    content = (Path(__file__).parents[2] / "examples/breast-cancer/model.onnx").read_bytes()
    model = description(content=content)
    store = MemoryStore({model.key("model.onnx"): content}, [StoreUnavailable("503")] * 999)
    loader = Loader(Plan(model, store, tmp_path, 1, clock, clock.sleep), records, {}, clock.now)
    loader.start(9.0)
    served = Service(model, loader, records, max_body_bytes=1000, clock=clock)
    response = served.handle(Request("GET", path))
    error(response, 503, "not_ready")
    assert response.headers["retry-after"] == "1"
    assert served.handle(Request("GET", "/health/live")).status == 200
    store.faults.clear()
    while (response := served.handle(Request("GET", path))).status == 503:
        pass
    assert json.loads(response.body) == {"status": "ready", "model_name": "example", "model_version": 3}


def test_a_request_waits_no_longer_than_its_own_deadline(tmp_path: Path) -> None:
    clock, records = StepClock(), Records()
    model = description()
    store = MemoryStore({}, [StoreUnavailable("503")] * 999)
    loader = Loader(Plan(model, store, tmp_path, 1, clock, clock.sleep), records, {}, clock.now)
    served = Service(model, loader, records, max_body_bytes=1000, clock=clock)
    began = clock.now
    response = served.handle(Request("POST", "/predict", {}, b'{"features": [1, 2, 3]}', deadline=began + 3))
    error(response, 503, "not_ready")
    assert clock.now <= began + 3


BODIES = st.dictionaries(
    st.sampled_from(["features", "instances", "x"]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=9),
).map(lambda body: json.dumps(body).encode())


@given(
    st.sampled_from(["GET", "POST", "PUT", ""]),
    st.sampled_from(["/predict", "/predict_batch", "/health"]) | st.text(),
    st.dictionaries(st.sampled_from(["content-type", "x"]), st.text()),
    st.binary() | BODIES,
)
def test_no_request_makes_the_service_raise(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    response = service(FEATURES, larger_than_six).handle(Request(method, path, headers, body))
    assert response.status in (200, 400, 404, 405, 415)
    json.loads(response.body)


def test_threads_get_the_answers_to_their_own_requests() -> None:
    from concurrent.futures import ThreadPoolExecutor

    clock = StepClock()
    model = description(COLUMNS)
    plan = Plan(model, MemoryStore({}), Path("unused"), 1, clock, clock.sleep)
    echo = FunctionModel(lambda inputs: (Tensor(FP32, inputs[1].shape, array("f", inputs[1].values())),))
    served = Service(model, ReadyLoader(plan, echo), Records(), max_body_bytes=1000, clock=clock)
    with ThreadPoolExecutor(16) as pool:
        bodies = pool.map(lambda n: post(served, "/predict", {"features": ["x", n, 0.5]})[1], range(500))
    assert [body["prediction"] for body in bodies] == [float(n) for n in range(500)]


def test_half_a_character_anywhere_in_a_request_is_answered_and_recorded() -> None:
    records = Records()
    served = service(FEATURES, larger_than_six, records=records)
    for body in (b'{"\\ud800": NaN}', b'{"features": {"\\ud800": 1}}', b'{"\\ud800": 1}'):
        error(
            served.handle(Request("POST", "/predict", {"content-type": "application/json"}, body)),
            400,
            "invalid_request",
        )
    error(served.handle(Request("GET", "/\ud800")), 404, "not_found")
    assert len(records.served) == 4


def test_a_log_that_cannot_be_written_costs_no_answer() -> None:
    class Broken(Records):
        def __call__(self, record: object) -> None:
            raise BrokenPipeError

    response, _ = post(service(FEATURES, larger_than_six, records=Broken()), "/predict", {"features": [1, 2, 4]})
    assert response.status == 200


def test_a_request_that_could_not_be_translated_gets_an_error_of_the_same_shape() -> None:
    records = Records()
    served = service(FEATURES, larger_than_six, records=records)
    response = served.refuse(Request("POST", "/predict", id="given"), InvalidRequest("the body is not base64"))
    assert error(response, 400, "invalid_request")["request_id"] == "given"
    assert records.served[0].code == "invalid_request"


@pytest.mark.parametrize(("left", "given"), [(None, 25.0), (3.0, 2.5), (0.3, 0.2), (-1.0, 0.2)])
def test_a_model_gets_the_time_that_the_request_has_left(left: float | None, given: float) -> None:
    clock = StepClock()
    model = FunctionModel(larger_than_six)
    plan = Plan(description(FEATURES), MemoryStore({}), Path("unused"), 1, clock, clock.sleep)
    served = Service(description(FEATURES), ReadyLoader(plan, model), Records(), max_body_bytes=1000, clock=clock)
    body = json.dumps({"features": [1, 2, 4]}).encode()
    deadline = None if left is None else clock() + left
    served.handle(Request("POST", "/predict", {"content-type": "application/json"}, body, deadline=deadline))
    assert model.timeouts == [pytest.approx(given)]


def test_a_model_that_was_stopped_is_a_504_without_a_traceback() -> None:
    def be_stopped(_inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        raise PredictionTimeout

    records = Records()
    response, _ = post(service(FEATURES, be_stopped, records=records), "/predict", {"features": [1, 2, 4]})
    assert error(response, 504, "prediction_timeout")["error"] == "the model did not answer in time"
    assert (records.served[0].code, records.served[0].error) == ("prediction_timeout", "")
