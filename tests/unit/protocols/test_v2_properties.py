"""Whatever a tensor holds comes back as it went, in both forms; nothing that anybody sends makes the service fail."""

from __future__ import annotations

import json
import struct
from math import prod
from typing import Any

from doubles import FEATURES, service
from pilotlight.codec.encode import nest
from pilotlight.http.messages import Request
from pilotlight.http.routes import ROUTES
from pilotlight.model.tensor import BF16, DATATYPES, Datatype
from properties import given, settings, st
from unit.protocols.test_v2 import INFER, by_sum, same
from unit.protocols.test_v2_binary import HEADER, parts, send, strings, tensor

SHAPES = st.lists(st.integers(0, 4), max_size=4)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def bfloat16(bits: int) -> float:
    """Return the number: an FP32 whose lower half is zero."""
    (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
    return float(value)


def values_of(datatype: Datatype) -> st.SearchStrategy[Any]:
    """Return values that such a tensor and JSON can represent."""
    if datatype.name == "BOOL":
        return st.booleans()
    if datatype.name == "BYTES":
        return TEXTS
    if datatype.is_integer:
        return st.integers(datatype.low, datatype.high)
    if datatype is BF16:
        return st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7F80 != 0x7F80).map(bfloat16)
    return st.floats(width=8 * datatype.size, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Datatype, list[int], list[Any]]:
    datatype = draw(st.sampled_from(list(DATATYPES.values())))
    shape = draw(SHAPES)
    values = draw(st.lists(values_of(datatype), min_size=prod(shape), max_size=prod(shape)))
    return datatype, shape, values


def as_bytes(datatype: Datatype, values: list[Any]) -> bytes:
    if datatype.name == "BYTES":
        return strings(*(value.encode() for value in values))
    if datatype is BF16:
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    code = "?" if datatype.name == "BOOL" else datatype.typecode
    return struct.pack(f"<{len(values)}{code}", *values)


@given(tensors(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_json_comes_back_as_it_went(found: tuple[Datatype, list[int], list[Any]], nested: bool) -> None:
    datatype, shape, values = found
    if datatype.is_binary_only:
        return
    data = nest(shape, values) if nested and shape and values else values
    x = {"name": "x", "shape": shape, "datatype": datatype.name, "data": data}
    body = json.dumps({"inputs": [x]}).encode()
    response = same(datatype.name, *(-1 for _ in shape)).handle(Request("POST", INFER, {}, body))
    assert response.status == 200, response.body
    output = json.loads(response.body)["outputs"][0]
    assert (output["shape"], output["data"]) == (shape, values)
    assert list(map(type, output["data"])) == list(map(type, values))


@given(tensors())
@settings(max_examples=300, deadline=None)
def test_bytes_come_back_as_they_went(found: tuple[Datatype, list[int], list[Any]]) -> None:
    datatype, shape, values = found
    content = as_bytes(datatype, values)
    document = {
        "inputs": [tensor("x", datatype.name, shape, len(content))],
        "parameters": {"binary_data_output": True},
    }
    reply, data = parts(send(same(datatype.name, *(-1 for _ in shape)), document, content))
    assert data == content
    assert reply["outputs"] == [tensor("y", datatype.name, shape, len(content))]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "binary_data_output", "classification", "x"]), ANY, max_size=2
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["features", "height", "width", "depth", "label"]) | ANY,
        "datatype": st.sampled_from(["FP32", "FP16", "BYTES"]) | ANY,
        "shape": st.just([1, 3]) | st.just([1]) | SHAPES | ANY,
        "data": st.just([1, 2, 3]) | ANY,
        "parameters": PARAMETERS | ANY,
    },
)
DOCUMENT = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=3) | ANY},
    optional={"outputs": st.lists(TENSOR, max_size=3) | ANY, "parameters": PARAMETERS | ANY, "id": ANY},
)
PATHS = st.sampled_from(
    [route.path.replace("{m}", "example").replace("{v}", "3") for route in ROUTES] + ["/v2/models//infer"]
)


@given(
    st.tuples(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]), PATHS | st.text(max_size=20)),
    st.sampled_from(["application/json", "application/octet-stream", "text/csv", "", "text/html; charset=x"]),
    st.integers(-5, 300) | st.text(max_size=5) | st.none(),
    DOCUMENT | ANY,
    st.binary(max_size=40),
)
@settings(max_examples=600, deadline=None)
def test_nothing_that_is_sent_makes_the_service_fail(
    asked: tuple[str, str], media_type: str, length: int | str | None, document: object, tail: bytes
) -> None:
    method, path = asked
    served = service(FEATURES, by_sum)
    body = json.dumps(document).encode()
    headers = {"content-type": media_type}
    if length is not None:
        headers[HEADER] = str(len(body) if isinstance(length, int) and length > 100 else length)
    response = served.handle(Request(method, path, headers, body + tail))
    assert response.status < 500, response.body
    if response.status >= 400 and method != "HEAD":
        more = ["errorMessage"] if path == "/bigquery" else []
        assert list(json.loads(response.body)) == ["error", "code", "path", "request_id", *more]
