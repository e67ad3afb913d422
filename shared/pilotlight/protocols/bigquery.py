"""Remote functions of BigQuery: the argument lists of a batch of calls in, a reply for each out.

https://cloud.google.com/bigquery/docs/remote-functions#input_format. Arguments are encoded as TO_JSON_STRING does it:
integers beyond 2**53, exact decimals and NaN come as strings. One call that is wrong fails the query, and its error
message has to say which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.codec.body import read_body, read_fields
from pilotlight.codec.tables import column_order, read_table
from pilotlight.dataplane import DataPlane
from pilotlight.errors import InvalidRequest
from pilotlight.http.messages import Action, Answer, Request, Values, predicted
from pilotlight.model.json_document import describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import BYTES, Tensor
from pilotlight.protocols.predict import instance_documents

_CONTEXT = "$.userDefinedContext"

# What a reply may be: fields of what /predict answers, or all of it.
_REPLIES = ("prediction", "probability", "document")

_NUMBER = re.compile(r"-?\d{1,99}(?P<fraction>\.\d{1,99})?(?P<exponent>[eE][+-]?\d{1,3})?", re.ASCII)
_MOST_EXACT = 2**53


def _replies(plane: DataPlane, request: Request, _values: Values) -> Answer:
    signature = plane.model.signature
    document = read_body(request.headers, request.body)
    if not isinstance(document, dict) or "calls" not in document:
        raise InvalidRequest(f'expected an object with the field "calls", found {describe(document)}', "$")
    calls = document["calls"]
    if not isinstance(calls, list) or not calls:
        raise InvalidRequest(f"expected an array of at least one call, found {describe(calls)}", "$.calls")
    columns, reply = _read_context(signature, document.get("userDefinedContext"))
    outputs = plane.run(
        _read_calls(plane, calls, columns, request.deadline), len(calls), request.deadline, request.trace
    )
    found = instance_documents(plane.model, outputs)
    replies = found if reply == "document" else [_encoded(one[reply]) for one in found]
    return predicted(plane.model, {"replies": replies}, outputs, len(calls))


def _read_context(signature: Signature, context: object) -> tuple[Sequence[int] | None, str]:
    """Return the argument of each feature, or None for the signature's order, and what a reply is."""
    given = {} if context is None else read_fields(context, _CONTEXT, (), ("columns", "reply"))
    reply = given.get("reply", "prediction")
    if reply not in _REPLIES or (reply == "probability" and "probabilities" not in signature.places):
        known = ", ".join(one for one in _REPLIES if one != "probability" or "probabilities" in signature.places)
        raise InvalidRequest(f"expected one of {known}, found {describe(reply)}", f"{_CONTEXT}.reply")
    if "columns" not in given:
        return None, reply
    columns = given["columns"]
    if not isinstance(columns, str):
        raise InvalidRequest(f"expected names with commas, found {describe(columns)}", f"{_CONTEXT}.columns")
    return column_order(signature, columns.split(","), f"{_CONTEXT}.columns"), reply


def _read_calls(
    plane: DataPlane, calls: list[Any], columns: Sequence[int] | None, deadline: float | None
) -> tuple[Tensor, ...]:
    """Return the model's inputs. A call has an argument for each feature, or one of the type JSON: an instance."""
    signature = plane.model.signature
    width = len(signature.feature_names)
    is_one = not signature.takes_features or (columns is None and all(map(_is_instance, calls)))
    for index, call in enumerate(calls):
        if not isinstance(call, list):
            raise InvalidRequest(f"expected an array of arguments, found {describe(call)}", f"$.calls[{index}]")
        if len(call) != (1 if is_one else width):
            expected = "1 argument, an instance," if is_one else f"{width} arguments, or one of the type JSON,"
            raise InvalidRequest(f"expected {expected} found {len(call)}", f"$.calls[{index}]")
    if is_one:
        return plane.read_instances([call[0] for call in calls], "$.calls", deadline, "[0]")
    order = range(width) if columns is None else columns
    kinds = [signature.matrix] * width if signature.matrix else signature.inputs
    texts = {place for place, kind in zip(order, kinds, strict=True) if kind.datatype is BYTES}
    rows = [[one if place in texts else _decoded(one) for place, one in enumerate(call)] for call in calls]
    return read_table(signature, order, rows, lambda row, column: f"$.calls[{row}][{column}]")


def _is_instance(call: object) -> bool:
    return isinstance(call, list) and len(call) == 1 and isinstance(call[0], (dict, list))


def _decoded(value: object) -> object:
    """Return an argument for a feature that is no text; NaN, which JSON lacks, as a missing value."""
    if not isinstance(value, str):
        return value
    if value == "NaN":
        return None
    match = _NUMBER.fullmatch(value)
    if not match:
        return value
    return float(value) if match["fraction"] or match["exponent"] else int(value)


def _encoded(value: object) -> object:
    return str(value) if type(value) is int and abs(value) > _MOST_EXACT else value


ACTIONS: Mapping[str, Action] = {"/bigquery": _replies}
