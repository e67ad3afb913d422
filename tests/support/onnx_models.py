"""Small ONNX models, made node by node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

from pilotlight.runtimes.onnx.binding import library

# ONNX's element type for each datatype.
ELEMENTS: dict[str, int] = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def external(location: str) -> TensorProto:
    """Return a tensor `vector` of four FP32 that lies in another file."""
    vector = TensorProto(name="vector", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = vector.external_data.add()
        entry.key, entry.value = key, value
    return vector


def with_external_data(folder: Path, location: str) -> Path:
    """Write a model that adds a vector; the vector lies in another file."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["points", "vector"], ["moved"])],
        "moved",
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("moved", TensorProto.FLOAT, ["N", 4])],
        [external(location)],
    )
    return _written(folder, graph)


def folded(folder: Path, size: int) -> Path:
    """Write a model that adds to its input one number of a product of two constant matrices of that size.

    A session that optimises multiplies them once, when it is made; one that does not, at every run.
    """
    tensor = helper.make_tensor_value_info
    one = numpy_helper.from_array(np.ones((size, size), np.float32), "one")
    nodes = [
        helper.make_node("MatMul", ["one", "one"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
        helper.make_node("Add", ["x", "largest"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "folded", [tensor("x", TensorProto.FLOAT, ["N"])], [tensor("y", TensorProto.FLOAT, ["N"])], [one]
    )
    return _written(folder, graph)


def filled(folder: Path, size: int) -> Path:
    """Write a model that adds to its input the largest of so many zeros, which it makes of their number."""
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["largest"], keepdims=0),
        helper.make_node("Add", ["x", "largest"], ["y"]),
    ]
    ends = [tensor("x", TensorProto.FLOAT, ["N"])], [tensor("y", TensorProto.FLOAT, ["N"])]
    return _written(folder, helper.make_graph(nodes, "filled", *ends, [_numbers("size", size)]))


def endless(folder: Path) -> Path:
    """Write a model with a loop that nothing ends."""
    tensor = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [tensor("i", TensorProto.INT64, []), tensor("on", TensorProto.BOOL, []), tensor("v", TensorProto.FLOAT, ["N"])],
        [tensor("still_on", TensorProto.BOOL, []), tensor("w", TensorProto.FLOAT, ["N"])],
    )
    ends = [tensor("x", TensorProto.FLOAT, ["N"])], [tensor("y", TensorProto.FLOAT, ["N"])]
    loop = helper.make_node("Loop", ["", "on", "x"], ["y"], body=body)
    return _written(
        folder, helper.make_graph([loop], "endless", *ends, [numpy_helper.from_array(np.array(True), "on")])
    )


def counting(folder: Path) -> Path:
    """Write a model that gives back its numbers after as many steps as the square of their count."""
    tensor = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [tensor("i", TensorProto.INT64, []), tensor("on", TensorProto.BOOL, []), tensor("v", TensorProto.FLOAT, ["N"])],
        [tensor("still_on", TensorProto.BOOL, []), tensor("w", TensorProto.FLOAT, ["N"])],
    )
    nodes = [
        helper.make_node("Size", ["x"], ["count"]),
        helper.make_node("Mul", ["count", "count"], ["steps"]),
        helper.make_node("Loop", ["steps", "", "x"], ["y"], body=body),
    ]
    ends = [tensor("x", TensorProto.FLOAT, ["N"])], [tensor("y", TensorProto.FLOAT, ["N"])]
    return _written(folder, helper.make_graph(nodes, "counting", *ends))


def wide(folder: Path, columns: int) -> Path:
    """Write a model that gives back its rows of so many numbers."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", columns]) for name in ("x", "y"))
    return _written(folder, helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "wide", [x], [y]))


def repeating(folder: Path, times: int) -> Path:
    """Write a model that answers each number of its input so many times."""
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
        helper.make_node("Expand", ["column", "times"], ["y"]),
    ]
    ends = [tensor("x", TensorProto.FLOAT, ["N"])], [tensor("y", TensorProto.FLOAT, ["N", times])]
    return _written(
        folder, helper.make_graph(nodes, "repeating", *ends, [_numbers("axis", 1), _numbers("times", 1, times)])
    )


def _numbers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def multiplied(folder: Path, size: int) -> Path:
    """Write a model that multiplies its input by a matrix of that size, whose weights lie in a file beside it."""
    tensor = helper.make_tensor_value_info
    matrix = numpy_helper.from_array(np.ones((size, size), np.float32), "matrix")
    (folder / "weights.bin").write_bytes(matrix.raw_data)
    matrix.ClearField("raw_data")
    matrix.data_location = TensorProto.EXTERNAL
    entry = matrix.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "matrix"], ["y"])],
        "multiplied",
        [tensor("x", TensorProto.FLOAT, ["N", size])],
        [tensor("y", TensorProto.FLOAT, ["N", size])],
        [matrix],
    )
    return _written(folder, graph)


def identity(folder: Path, kind: int, *shape: str | int) -> Path:
    """Write a model that gives its input back."""
    tensor = helper.make_tensor_value_info
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "same", [tensor("x", kind, shape)], [tensor("y", kind, shape)])
    return _written(folder, graph)


def added(folder: Path) -> Path:
    """Write a model that adds two vectors of one length."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["left", "right"], ["sums"])],
        "added",
        [tensor("left", TensorProto.FLOAT, ["N"]), tensor("right", TensorProto.FLOAT, ["N"])],
        [tensor("sums", TensorProto.FLOAT, ["N"])],
    )
    return _written(folder, graph)


def zeros(folder: Path) -> Path:
    """Write a model that answers with a matrix of zeros of the shape that it is given."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["shape"], ["zeros"])],
        "zeros",
        [tensor("shape", TensorProto.INT64, ["N"])],
        [tensor("zeros", TensorProto.FLOAT, ["A", "B"])],
    )
    return _written(folder, graph)


def head(folder: Path) -> Path:
    """Write a model of one column `count` that answers with so many entries of a table: too many rows but for ones.

    It accepts no sum above nine.
    """
    tensor = helper.make_tensor_value_info
    table = numpy_helper.from_array(np.arange(20, 30, dtype=np.float32).reshape(10, 1), "table")
    lengths = numpy_helper.from_array(np.arange(10, dtype=np.int64), "lengths")
    first, flat = (
        numpy_helper.from_array(np.array([value], np.int64), name) for value, name in ((0, "first"), (-1, "flat"))
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["count"], ["sum"]),
            helper.make_node("Reshape", ["sum", "flat"], ["asked"]),
            helper.make_node("Gather", ["lengths", "asked"], ["end"]),
            helper.make_node("Slice", ["table", "first", "end", "first"], ["entries"]),
        ],
        "head",
        [tensor("count", TensorProto.INT64, ["N", 1])],
        [tensor("entries", TensorProto.FLOAT, ["N", 1])],
        [table, lengths, first, flat],
    )
    return _written(folder, graph)


def plus(folder: Path, number: float, shape: tuple[str | int, ...] = ("N", 3)) -> Path:
    """Write a model that adds a number, by default to a matrix of three columns."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    addend = numpy_helper.from_array(np.array(number, np.float32), "number")
    graph = helper.make_graph([helper.make_node("Add", ["x", "number"], ["y"])], "plus", ends[:1], ends[1:], [addend])
    return _written(folder, graph)


def bfloat16_plus(folder: Path, number: float) -> Path:
    """Write a model of a BF16 matrix of three columns that adds a number, in FP32, and answers in BF16."""
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "number"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.BFLOAT16),
    ]
    ends = [tensor(name, TensorProto.BFLOAT16, ["N", 3]) for name in ("x", "y")]
    addend = numpy_helper.from_array(np.array(number, np.float32), "number")
    graph = helper.make_graph(nodes, "plus", ends[:1], ends[1:], [addend])
    return _written(folder, graph)


def lookup(folder: Path) -> Path:
    """Write a model of one column `index` that answers with an entry of a table of three; it accepts no other index."""
    tensor = helper.make_tensor_value_info
    table = numpy_helper.from_array(np.array([10, 20, 30], np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["entry"])],
        "lookup",
        [tensor("index", TensorProto.INT64, ["N", 1])],
        [tensor("entry", TensorProto.FLOAT, ["N", 1])],
        [table],
    )
    return _written(folder, graph)


def loop(folder: Path) -> Path:
    """Write a model that adds 1 to `x` as often as `trips` says, one round after the other."""
    tensor = helper.make_tensor_value_info
    one = numpy_helper.from_array(np.ones((), np.float32), "one")
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Add", ["before", "one"], ["after"])],
        "round",
        [
            tensor("round", TensorProto.INT64, []),
            tensor("going", TensorProto.BOOL, []),
            tensor("before", TensorProto.FLOAT, ["N"]),
        ],
        [tensor("goes_on", TensorProto.BOOL, []), tensor("after", TensorProto.FLOAT, ["N"])],
        [one],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)],
        "loop",
        [tensor("x", TensorProto.FLOAT, ["N"]), tensor("trips", TensorProto.INT64, [])],
        [tensor("y", TensorProto.FLOAT, ["N"])],
    )
    return _written(folder, graph)


# A golden sample for the table: its second entry.
LOOKUP_GOLDEN: dict[str, object] = {
    "format": 1,
    "source": "given",
    "tolerance": {"absolute": 1e-6, "relative": 0.0},
    "samples": [
        {
            "inputs": [{"name": "index", "datatype": "INT64", "shape": [1, 1], "data": [1]}],
            "outputs": [{"name": "entry", "datatype": "FP32", "shape": [1, 1], "data": [20.0]}],
        }
    ],
}


# A golden sample for the head of a table: one entry.
HEAD_GOLDEN: dict[str, object] = LOOKUP_GOLDEN | {
    "samples": [
        {
            "inputs": [{"name": "count", "datatype": "INT64", "shape": [1, 1], "data": [1]}],
            "outputs": [{"name": "entries", "datatype": "FP32", "shape": [1, 1], "data": [20.0]}],
        }
    ],
}


def echo(folder: Path) -> Path:
    """Write a model that gives back a matrix `in_DATATYPE` of each datatype, and `in_scalar`, an FP32 of shape [].

    It has no BF16, so that either engine can serve it.
    """
    tensor = helper.make_tensor_value_info
    kinds = {name: (kind, ["rows", "columns"]) for name, kind in ELEMENTS.items() if name != "BF16"}
    kinds["scalar"] = (TensorProto.FLOAT, [])
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in kinds],
        "echo",
        [tensor(f"in_{name}", kind, shape) for name, (kind, shape) in kinds.items()],
        [tensor(f"out_{name}", kind, shape) for name, (kind, shape) in kinds.items()],
    )
    return _written(folder, graph)


def cells(folder: Path, kinds: Mapping[str, str]) -> Path:
    """Write a model that gives its columns back, `name` as `name_out`; `kinds` are their datatypes."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
        "cells",
        [tensor(name, ELEMENTS[kind], ["rows", 1]) for name, kind in kinds.items()],
        [tensor(f"{name}_out", ELEMENTS[kind], ["rows", 1]) for name, kind in kinds.items()],
    )
    return _written(folder, graph)


def _written(folder: Path, graph: GraphProto) -> Path:
    """Write a model with that graph and return its file."""
    path = folder / "model.onnx"
    opsets = [helper.make_opsetid("", 18)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def ort_form(path: Path) -> Path:
    """Write a model beside itself in ONNX Runtime's own format, as its converter does."""
    onnxruntime = library()
    target = path.with_suffix(".ort")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return target
