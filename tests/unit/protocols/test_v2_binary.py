"""Tensors as bytes behind the JSON of a V2 request and of its reply."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import pytest

from doubles import FEATURES, IMAGE, service
from pilotlight.http.messages import Request, Response
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, DATATYPES, FP32, Tensor
from pilotlight.service import Service
from unit.protocols.test_v2 import INFER, by_sum, same, twice

HEADER = "inference-header-content-length"
OCTETS = {"content-type": "application/octet-stream"}


def send(
    served: Service, document: object, data: bytes = b"", headers: Mapping[str, str] = OCTETS, length: object = None
) -> Response:
    """Return the response to a document with bytes after it; `length` is a wrong value of the header."""
    head = json.dumps(document).encode()
    found = str(len(head) if length is None else length)
    return served.handle(Request("POST", INFER, {**headers, HEADER: found}, head + data))


def parts(response: Response) -> tuple[Any, bytes]:
    """Return a reply's document and the bytes behind it."""
    assert response.status == 200, response.body
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[HEADER])
    return json.loads(response.body[:length]), response.body[length:]


def refused(response: Response, status: int = 400) -> str:
    """Return an error's place and sentence."""
    document = json.loads(response.body)
    assert response.status == status, document
    assert response.headers["content-type"] == "application/json"
    return f"{document['path']}: {document['error']}"


def tensor(name: str, datatype: str, shape: Sequence[int], size: object, **parameters: object) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(shape),
        "parameters": {"binary_data_size": size, **parameters},
    }


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def test_bytes_go_in_and_come_out_where_both_are_asked_for() -> None:
    document = {
        "inputs": [tensor("features", "FP32", (2, 3), 24)],
        "parameters": {"binary_data_output": True},
    }
    reply, data = parts(send(service(FEATURES, by_sum), document, struct.pack("<6f", 1, 2, 3, 1, 2, 4)))
    assert reply["outputs"] == [tensor("label", "BYTES", (2,), 18), tensor("probabilities", "FP32", (2, 2), 16)]
    assert data == strings(b"small", b"large") + struct.pack("<4f", 0.25, 0.75, 0.25, 0.75)


def test_each_output_may_be_asked_for_in_its_own_form() -> None:
    image = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    outputs = [{"name": "scores", "parameters": {"binary_data": False}}, {"name": "hidden"}]
    document = {"inputs": [image], "outputs": outputs, "parameters": {"binary_data_output": True}}
    reply, data = parts(send(service(IMAGE, twice), document))
    assert reply["outputs"][0] == {"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    assert reply["outputs"][1] == tensor("hidden", "FP32", (1, 2, 2), 16)
    assert data == struct.pack("<4f", 1, 2, 3, 4)


@pytest.mark.parametrize("more", [{}, {"data": None}])
@pytest.mark.parametrize("datatype", ["FP16", "BYTES", "INT64"])
def test_an_empty_tensor_has_no_bytes_and_needs_no_header(datatype: str, more: dict[str, None]) -> None:
    asked = {"inputs": [tensor("x", datatype, (0, 4), 0) | more], "parameters": {"binary_data_output": True}}
    served = same(datatype, -1, -1)
    plain = served.handle(Request("POST", INFER, {}, json.dumps(asked).encode()))
    for response in (plain, send(served, asked)):
        reply, data = parts(response)
        assert (reply["outputs"], data) == ([tensor("y", datatype, (0, 4), 0)], b"")


def test_a_reply_without_bytes_is_plain_json_whatever_the_request_was() -> None:
    response = send(service(FEATURES, by_sum), {"inputs": [tensor("features", "FP32", (1, 3), 12)]}, bytes(12))
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert HEADER not in response.headers


def three() -> Service:
    """Return a model of three inputs that gives them back."""
    names = {"a": "INT64", "b": "BYTES", "c": "FP32"}
    inputs = tuple(Input(name, DATATYPES[datatype], (-1,), "tensor") for name, datatype in names.items())
    return service(
        Signature(inputs, tuple(Output(one.name, one.datatype, one.shape, "tensor") for one in inputs)), tuple
    )


def test_json_and_bytes_are_mixed_and_bytes_come_in_the_order_of_the_document() -> None:
    a = {"name": "a", "shape": [1], "datatype": "INT64", "data": [-7]}
    inputs = [tensor("c", "FP32", (2,), 8), a, tensor("b", "BYTES", (2,), 11)]
    data = struct.pack("<2f", 0.5, -1) + strings("é".encode(), b"x")
    response = send(three(), {"inputs": inputs}, data)
    assert [output["data"] for output in json.loads(response.body)["outputs"]] == [[-7], ["é", "x"], [0.5, -1.0]]


def test_a_tensor_that_lies_aligned_is_not_copied_and_another_one_is() -> None:
    seen: list[Tensor] = []

    def look(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        seen.extend(inputs)
        return tuple(inputs)

    signature = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
    for blanks in range(4):
        head = json.dumps({"inputs": [tensor("x", "FP32", (1,), 4)]}).encode() + b" " * blanks
        body = head + struct.pack("<f", 3)
        served = service(signature, look)
        assert served.handle(Request("POST", INFER, {HEADER: str(len(head))}, body)).status == 200
        kept = isinstance(seen[-1].data, memoryview) and seen[-1].data.obj is body
        assert kept == (len(head) % 4 == 0)
        assert seen[-1].values() == [3.0]


@pytest.mark.parametrize(
    ("datatype", "content"),
    [
        ("FP16", struct.pack("<3e", 0.1, float("nan"), float("-inf"))),
        ("BF16", struct.pack("<3H", 0x3DCD, 0x7FC0, 0xFF80)),  # the same numbers
    ],
)
def test_half_floats_and_not_a_number_go_as_bytes(datatype: str, content: bytes) -> None:
    document = {"inputs": [tensor("x", datatype, (3,), 6)], "parameters": {"binary_data_output": True}}
    assert parts(send(same(datatype, -1), document, content))[1] == content


@pytest.mark.parametrize(
    ("sent", "datatype", "content", "expected"),
    [
        ("INT64", "FP64", struct.pack("<2q", 7, -(2**53)), struct.pack("<2d", 7, -(2**53))),
        ("FP64", "FP32", struct.pack("<2d", nan, -inf), struct.pack("<2f", nan, -inf)),
        ("FP16", "FP32", struct.pack("<2e", 0.1, 65504), struct.pack("<2f", 0.0999755859375, 65504)),
        ("FP32", "BF16", struct.pack("<2f", 0.5, -3), struct.pack("<2H", 0x3F00, 0xC040)),
        ("FP32", "INT8", struct.pack("<2f", 5, -128), struct.pack("<2b", 5, -128)),
    ],
)
def test_bytes_of_another_datatype_are_taken_where_the_models_own_holds_each_value(
    sent: str, datatype: str, content: bytes, expected: bytes
) -> None:
    document = {"inputs": [tensor("x", sent, (2,), len(content))], "parameters": {"binary_data_output": True}}
    assert parts(send(same(datatype, -1), document, content))[1] == expected


@pytest.mark.parametrize(
    ("sent", "datatype", "content", "found"),
    [
        ("INT64", "FP64", struct.pack("<2q", 7, 2**53 + 1), "9007199254740993"),
        ("FP64", "INT64", struct.pack("<2d", 7, nan), "NaN"),
        ("FP64", "FP32", struct.pack("<2d", 7, 0.1), "0.1"),
    ],
)
def test_a_number_in_bytes_that_the_models_datatype_does_not_hold_is_named(
    sent: str, datatype: str, content: bytes, found: str
) -> None:
    document = {"inputs": [tensor("x", sent, (2,), len(content))]}
    assert refused(send(same(datatype, -1), document, content)) == (
        f"$.inputs[0]: expected {datatype}, found {found} as {sent}, which {datatype} does not hold exactly"
    )


def test_without_a_content_type_bytes_are_taken_and_as_json_they_are_not() -> None:
    document = {"inputs": [tensor("features", "FP32", (1, 3), 12)]}
    served = service(FEATURES, by_sum)
    assert send(served, document, bytes(12), {}).status == 200
    assert "found content type" in refused(send(served, document, bytes(12), {"content-type": "application/json"}), 415)
    whole = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
    assert send(served, whole, b"", {"content-type": "application/json"}).status == 200


@pytest.mark.parametrize("length", ["", "-1", "+5", "1.5", "0x10", "999999", "1" * 40, "\u0661"])
def test_a_length_that_cannot_be_is_a_400(length: str) -> None:
    document = {"inputs": [tensor("features", "FP32", (1, 3), 12)]}
    assert HEADER in refused(send(service(FEATURES, by_sum), document, bytes(12), length=length))


@pytest.mark.parametrize(
    ("size", "data", "message"),
    [
        (12, 8, "expected 12 bytes of binary data, found 8"),
        (8, 12, "expected 12 bytes for FP32 of shape [1, 3], found 8"),
        (16, 16, "expected 12 bytes for FP32 of shape [1, 3], found 16"),
        (12, 13, "found 1 bytes of binary data after the last input"),
        ("12", 12, 'expected a number of bytes, found "12"'),
        (-12, 12, "expected a number of bytes, found -12"),
        (12.0, 12, "expected a number of bytes, found 12.0"),
        (True, 12, "expected a number of bytes, found true"),
        (10**30, 12, "expected 1000000000000000000000000000000 bytes of binary data, found 12"),
    ],
)
def test_a_size_that_lies_is_a_400(size: object, data: int, message: str) -> None:
    document = {"inputs": [tensor("features", "FP32", (1, 3), size)]}
    assert refused(send(service(FEATURES, by_sum), document, bytes(data))).endswith(message)


def test_bytes_without_the_header_are_a_400_that_names_it() -> None:
    body = json.dumps({"inputs": [tensor("features", "FP32", (1, 3), 12)]}).encode()
    response = service(FEATURES, by_sum).handle(Request("POST", INFER, {}, body))
    assert f"binary data requires the header {HEADER}" in refused(response)


def test_both_data_and_bytes_are_a_400() -> None:
    both = tensor("features", "FP32", (1, 3), 12) | {"data": [1, 2, 3]}
    assert "expected one of them" in refused(send(service(FEATURES, by_sum), {"inputs": [both]}, bytes(12)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (strings(b"one"), "expected 2 strings, found 1"),
        (strings(b"1", b"2", b"3"), "expected 2 strings, found 3"),
        (strings(b"one") + b"\1\0", "string 1: expected its length in 4 bytes, found 2"),
        (strings(b"one") + b"\xff\xff\xff\xff", "string 1: expected 4294967295 bytes, found 0"),
        (strings(b"one", b"\xff"), "string 1 is not UTF-8"),
        (strings(b"one", b"\xed\xa0\x80"), "string 1 is not UTF-8"),
        (b"", "expected 2 strings, found 0"),
    ],
)
def test_strings_that_do_not_fit_are_a_400(content: bytes, message: str) -> None:
    document = {"inputs": [tensor("x", "BYTES", (2,), len(content))]}
    assert refused(send(same("BYTES", -1), document, content)).endswith(message)


def test_a_boolean_is_one_byte_of_nought_or_one() -> None:
    document = {"inputs": [tensor("x", "BOOL", (3,), 3)]}
    response = send(same("BOOL", -1), document, b"\0\1\1")
    assert json.loads(response.body)["outputs"][0]["data"] == [False, True, True]
    assert "expected bytes of 0 or 1" in refused(send(same("BOOL", -1), document, b"\0\1\2"))


def test_a_models_half_character_goes_out_as_the_bytes_that_it_is() -> None:
    signature = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", BYTES, (-1,), "tensor"),))
    served = service(signature, lambda _inputs: (Tensor(BYTES, (1,), ["\ud800"]),))
    document = {
        "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}],
        "parameters": {"binary_data_output": True},
    }
    assert parts(send(served, document))[1] == strings(b"\xed\xa0\x80")
