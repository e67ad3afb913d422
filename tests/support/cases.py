"""The contract: requests and what every handler, on every cloud, must answer to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the reply that it must get: status, the error's code, path and (the start of its) sentence.

    `is_text` is false for a body that API Gateway cannot pass on as it is: it treats JSON as UTF-8 text.
    """

    name: str
    body: bytes = b""
    method: str = "POST"
    path: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    status: int = 400
    code: str = "invalid_request"
    place: str | None = None
    message: str = ""
    is_text: bool = True


def bad(name: str, body: object, place: str | None, message: str, path: str = "/predict") -> Case:
    """Return the case of a body that must be refused with 400 at a place."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(name, raw, path=path, place=place, message=message)


def sample_cases(names: list[str]) -> list[Case]:
    """Wrong requests for the sample: one matrix of 30 named FP32 features."""
    row = [float(index) for index in range(len(names))]
    by_name = dict(zip(names, row, strict=True))
    renamed = {("radius" if name == names[0] else name): value for name, value in by_name.items()}
    missing = {name: value for name, value in by_name.items() if name != names[7]}

    def features(value: Any, at: int = 4) -> dict[str, Any]:
        return {"features": [*row[:at], value, *row[at + 1 :]]}

    return [
        bad("an empty body", b"", "$", "the body is empty"),
        bad("malformed JSON", b'{"features": [1, 2', None, "the body is not valid JSON: Expecting"),
        bad("two documents", b'{"features": []} {}', None, "the body is not valid JSON: Extra data"),
        Case("bytes that are no text", b"\xff\xfe", message="the body is not", is_text=False),
        bad("a NaN", b'{"features": [NaN]}', "$.features[0]", "NaN is not JSON, expected a number"),
        bad("an Infinity", b'{"features": {"x": -Infinity}}', "$.features.x", "-Infinity is not JSON"),
        bad("a duplicate key", b'{"features": [], "features": []}', "$", 'duplicate key "features"'),
        bad("a NaN in half a document", b'{"features": [NaN', None, "the body is not valid JSON"),
        bad("half a character in a key", b'{"\\ud800": NaN}', '$["\\ud800"]', "NaN is not JSON"),
        bad("deep nesting", b'{"features": ' + b"[" * 50_000, None, "the body is nested too deeply"),
        bad("a number of 5,000 digits", b'{"features": [' + b"9" * 5000 + b"]}", None, "the body has a whole number"),
        bad("a list for a body", row, "$", 'expected an object with the field "features", found an array'),
        bad("no features", {}, "$", 'the field "features" is missing'),
        bad("an unknown field", {"features": row, "id": 1}, "$", 'unknown field "id"'),
        bad(
            "features that are null",
            {"features": None},
            "$.features",
            "expected 30 features as an array or as an object",
        ),
        bad("too few features", {"features": row[1:]}, "$.features", "expected 30 features, found 29"),
        bad("too many features", {"features": [*row, 1.0]}, "$.features", "expected 30 features, found 31"),
        bad("no features at all", {"features": []}, "$.features", "expected 30 features, found 0"),
        bad("a nested row", {"features": [row]}, "$.features", "expected 30 features, found 1"),
        bad("an unknown feature", {"features": renamed}, "$.features", 'unknown feature "radius"'),
        bad("a missing feature", {"features": missing}, "$.features", f'the feature "{names[7]}" is missing'),
        bad("a string for a number", features("4.0"), "$.features[4]", 'expected a number (FP32), found "4.0"'),
        bad("a bool for a number", features(True), "$.features[4]", "expected a number (FP32), found true"),
        bad("a null for a number", features(None), "$.features[4]", "expected a number (FP32), found null"),
        bad("a list for a number", features([4.0]), "$.features[4]", "expected a number (FP32), found an array"),
        bad("a number beyond FP32", features(3.5e38), "$.features[4]", "number is out of range for FP32"),
        bad(
            "a number beyond FP64",
            b'{"features": [' + b"1e999," * 29 + b"0]}",
            "$.features[0]",
            "number is out of range for FP32",
        ),
        bad(
            "a wrong named value",
            {"features": by_name | {names[0]: "x"}},
            f"$.features[{json.dumps(names[0])}]",
            "expected a number",
        ),
        bad("no instances", {}, "$", 'the field "instances" is missing', "/predict_batch"),
        bad("an empty batch", {"instances": []}, "$.instances", "expected at least one instance", "/predict_batch"),
        bad(
            "an object for a batch",
            {"instances": by_name},
            "$.instances",
            "expected an array of instances",
            "/predict_batch",
        ),
        bad(
            "a short second row",
            {"instances": [row, row[1:]]},
            "$.instances[1]",
            "expected 30 features, found 29",
            "/predict_batch",
        ),
        bad(
            "a wrong value in the second row",
            {"instances": [row, [*row[1:], "x"]]},
            "$.instances[1][29]",
            "expected a number",
            "/predict_batch",
        ),
        Case("an unknown route", path="/predictions", status=404, code="not_found", message="unknown route"),
        Case("what robots ask for", method="GET", path="/robots.txt", status=404, code="not_found"),
        Case("a path with a line break", method="GET", path="/health%0A/live", status=404, code="not_found"),
        Case("a route with a slash at its end", path="/predict/", status=404, code="not_found"),
        Case("a route with two slashes", path="//predict", status=404, code="not_found"),
        Case("a route with an encoded slash", path="/%2Fpredict", status=404, code="not_found"),
        Case(
            "an unknown route with a space",
            path="/a%20b",
            status=404,
            code="not_found",
            message='unknown route "/a b"',
        ),
        Case("two slashes for the root", method="GET", path="//", status=404, code="not_found"),
        Case(
            "a verb of V1 that is not served",
            b'{"instances": [[1]]}',
            path="/v1/models/breast-cancer:explain",
            status=404,
            code="not_found",
            message='unknown route "/v1/models/breast-cancer:explain"',
        ),
        Case(
            "a GET for a POST",
            method="GET",
            status=405,
            code="method_not_allowed",
            message="/predict accepts POST, not GET",
        ),
        Case("a DELETE", method="DELETE", status=405, code="method_not_allowed"),
        Case(
            "a POST to the root",
            path="/",
            status=405,
            code="method_not_allowed",
            message="/ accepts GET, not POST; send instances to /predict",
        ),
        Case("a POST for a GET", path="/health", status=405, code="method_not_allowed", message="/health accepts GET"),
        Case(
            "a CSV body",
            b"1,2,3",
            headers={"content-type": "text/csv"},
            status=415,
            code="unsupported_media_type",
            message='found content type "text/csv", expected application/json',
        ),
        Case(
            "a form",
            b"features=1",
            headers={"content-type": "application/x-www-form-urlencoded"},
            status=415,
            code="unsupported_media_type",
        ),
        Case(
            "a body over the limit",
            b'{"features": [' + b" " * 4_500_000 + b"]}",
            status=413,
            code="too_large",
            message="the body exceeds the limit of 4500000 bytes",
        ),
    ]


def rents_cases() -> list[Case]:
    """Wrong requests for a model of one string column and three number columns."""
    flat = {"city": "Lviv", "rooms": 2.0, "area": 50.5, "floor": 3.0}
    return [
        bad("a number for a string", {"features": flat | {"city": 1}}, "$.features.city", "expected a string, found 1"),
        bad(
            "a string for a column of numbers",
            {"features": flat | {"area": "50"}},
            "$.features.area",
            "expected a number",
        ),
        bad(
            "half a character",
            {"features": flat | {"city": "\ud800"}},
            "$.features.city",
            "expected a string without unpaired",
        ),
        bad("an unknown column", {"features": flat | {"balcony": 1}}, "$.features", 'unknown feature "balcony"'),
        bad("a missing column", {"features": {"city": "Lviv"}}, "$.features", 'the feature "rooms" is missing'),
        bad(
            "columns in the wrong order",
            {"features": [2.0, "Lviv", 50.5, 3.0]},
            "$.features[0]",
            "expected a string, found 2.0",
        ),
    ]
