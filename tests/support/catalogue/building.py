"""What the catalogue's requests are made of: good ones, which are then made wrong in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cases import Case
from pilotlight.model.lock import load_lock
from pilotlight.model.tensor import DATATYPES
from repository import LOCK

FEATURES = list(load_lock(LOCK).model.signature.feature_names)
ROW = [float(index) for index in range(len(FEATURES))]
FLAT = {"city": "Derby", "rooms": 2.0, "area": 50.5, "floor": 3.0}
INFER = "/v2/models/echo/infer"
PREDICT = "/v1/models/breast-cancer:predict"
HEADER = "inference-header-content-length"
NO_TYPE: Mapping[str, str] = {}
CSV = {"content-type": "text/csv"}
ONES: dict[str, Any] = {"BOOL": True, "BYTES": "a"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong request and the model that it is sent to."""

    model: str
    case: Case


def wrong(
    model: str,
    name: str,
    body: object,
    place: str | None = None,
    message: str = "",
    *,
    path: str = "/predict",
    **fields: Any,
) -> Wrong:
    """Return a body that must be refused; `fields` are those of the Case."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Wrong(model, Case(name, raw, path=path, place=place, message=message, **fields))


def echo(changed: str = "", changes: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a good request to the model `echo`, or one with changes to one input, which then comes first.

    A change to None leaves a field out.
    """
    inputs: list[dict[str, Any]] = [
        {"name": f"in_{name}", "datatype": name, "shape": [1, 1], "data": [ONES.get(name, 1)]}
        for name in DATATYPES
        if not DATATYPES[name].is_binary_only
    ]
    inputs.append({"name": "in_scalar", "datatype": "FP32", "shape": [], "data": [1]})
    inputs.append({"name": "in_FP16", "datatype": "FP16", "shape": [1, 0], "parameters": {"binary_data_size": 0}})
    if changed:
        first = next(one for one in inputs if one["name"] == f"in_{changed}")
        inputs.remove(first)
        altered = {name: value for name, value in {**first, **(changes or {})}.items() if value is not None}
        inputs.insert(0, altered)
    return {"inputs": inputs, "outputs": [{"name": "out_INT8"}], **fields}


def bodied(document: object, data: bytes = b"") -> tuple[bytes, dict[str, str]]:
    """Return a document with bytes behind it, and the headers that go with them."""
    head = json.dumps(document).encode()
    return head + data, {"content-type": "application/octet-stream", HEADER: str(len(head))}


def echoed(
    name: str,
    changed: str = "",
    changes: Mapping[str, Any] | None = None,
    place: str | None = "$.inputs[0]",
    message: str = "",
    **fields: Any,
) -> Wrong:
    """Return a request to the model `echo` with one input that is wrong."""
    body, headers = bodied(echo(changed, changes, **fields))
    return wrong("echo", name, body, place, message, path=INFER, headers=headers, is_text=False)


def table(**changes: Any) -> dict[str, Any]:
    """Return a good data frame for the model `rents`, or one with another field in it."""
    return {"dataframe_split": {"columns": list(FLAT), "data": [list(FLAT.values())], **changes}}


def elsewhere(given: Wrong, **fields: Any) -> Wrong:
    """Return the same request with other fields of its Case."""
    return Wrong(given.model, replace(given.case, **fields))
