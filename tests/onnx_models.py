"""Small ONNX models, made node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def with_external_data(folder: Path, location: str) -> Path:
    """A model that adds a vector; the vector lies in another file."""
    vector = numpy_helper.from_array(np.arange(4, dtype=np.float32), "vector")
    vector.ClearField("raw_data")
    vector.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = vector.external_data.add()
        entry.key, entry.value = key, value
    graph = helper.make_graph(
        [helper.make_node("Add", ["points", "vector"], ["moved"])],
        "moved",
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("moved", TensorProto.FLOAT, ["N", 4])],
        [vector],
    )
    path = folder / "model.onnx"
    opsets = [helper.make_opsetid("", 18)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def identity(folder: Path, kind: int, *shape: str | int) -> Path:
    """A model that gives its input back."""
    tensor = helper.make_tensor_value_info
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "same", [tensor("x", kind, shape)], [tensor("y", kind, shape)])
    path = folder / "model.onnx"
    opsets = [helper.make_opsetid("", 18)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path
