"""Where in an ONNX model a tensor can hide that is in another file, and such models byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import Message
from onnx import AttributeProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from onnx_models import external

# A message's fields: number, wire type, and a number, bytes, or the fields of a message.
Value: TypeAlias = "int | bytes | list[Any]"
Field: TypeAlias = "tuple[int, int, Value]"

_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
_ADD = helper.make_node("Add", ["points", "vector"], ["moved"])


def _model(*nodes: Any, initializers: Any = (), sparse: Any = (), functions: Any = ()) -> ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("points", "moved")]
    graph = helper.make_graph(nodes, "moved", ends[:1], ends[1:], initializers, sparse_initializer=sparse)
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=10, functions=functions)


def _constant(location: str) -> Any:
    return helper.make_node("Constant", [], ["vector"], value=external(location))


def _sparse(location: str) -> SparseTensorProto:
    indices = numpy_helper.from_array(np.arange(4), "indices")
    return SparseTensorProto(dims=[4], values=external(location), indices=indices)


def _branch(location: str) -> ModelProto:
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [4])
    branch = helper.make_graph([helper.make_node("Identity", ["vector"], ["inner"])], "branch", [], [output])
    branch.initializer.append(external(location))
    condition = numpy_helper.from_array(np.array(True), "condition")
    choice = helper.make_node("If", ["condition"], ["chosen"], then_branch=branch, else_branch=branch)
    add = helper.make_node("Add", ["points", "chosen"], ["moved"])
    return _model(choice, add, initializers=[condition])


def _function(constant: Any, *defaults: AttributeProto) -> ModelProto:
    nodes = [constant, helper.make_node("Add", ["x", "vector"], ["y"])]
    body = helper.make_function("own", "Move", ["x"], ["y"], nodes, _OPSETS[:1], attribute_protos=defaults)
    return _model(helper.make_node("Move", ["points"], ["moved"], domain="own"), functions=[body])


def _default(location: str) -> ModelProto:
    constant = helper.make_node("Constant", [], ["vector"])
    constant.attribute.append(AttributeProto(name="value", type=AttributeProto.TENSOR, ref_attr_name="given"))
    return _function(constant, helper.make_attribute("given", external(location)))


# Models that add a vector of four FP32 to `points`. The vector is in the file `location`, named by a tensor in:
PLACES: dict[str, Callable[[str], ModelProto]] = {
    "an initializer": lambda location: _model(_ADD, initializers=[external(location)]),
    "a constant": lambda location: _model(_constant(location), _ADD),
    "a branch": _branch,
    "a function's node": lambda location: _function(_constant(location)),
    "a function's default": _default,
    "a sparse initializer": lambda location: _model(_ADD, sparse=[_sparse(location)]),
    "a sparse constant": lambda location: _model(
        helper.make_node("Constant", [], ["vector"], sparse_value=_sparse(location)), _ADD
    ),
}


def tree(message: Message) -> list[Field]:
    """Return the fields of a message that has no floating-point numbers."""
    found: list[Field] = []
    for field, value in message.ListFields():
        values = [value] if isinstance(value, (Message, int, str, bytes)) else value
        found += [(field.number, *_value(each)) for each in values]
    return found


def _value(value: Any) -> tuple[int, Value]:
    if isinstance(value, Message):
        return 2, tree(value)
    if isinstance(value, int):
        return 0, value
    return 2, value.encode() if isinstance(value, str) else value


def encoded(fields: list[Field], padding: Callable[[], int] = lambda: 0) -> bytes:
    """Serialise a message; each varint takes `padding` bytes more than it needs."""
    return b"".join(_encoded(fields, padding))


def _encoded(fields: list[Field], padding: Callable[[], int]) -> Iterator[bytes]:
    for number, kind, value in fields:
        yield varint(number << 3 | kind, padding())
        if isinstance(value, int):
            yield varint(value)
        else:
            content = encoded(value, padding) if isinstance(value, list) else value
            if kind == 2:
                yield varint(len(content), padding())
            yield content


def varint(value: int, padding: int = 0) -> bytes:
    """Encode a number in groups of seven bits, with empty groups at its end."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)] + [0] * padding
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
