"""ONNX graphs: the nodes of an ensemble and of what its library does with the sums, and the ends of a model."""

from __future__ import annotations

import json
from typing import Any, Sequence

import numpy as np

from pilotlight_cli.converting.child.models import Trees

# What ONNX Runtime has for all of these operators.
OPSET, ML_OPSET, IR_VERSION = 18, 3, 8

ML = "ai.onnx.ml"
DOUBLE, FLOAT, INT64 = 11, 1, 7  # onnx.TensorProto


class Graph:
    """Nodes and initializers of a graph under construction. `add` returns the name of a node's first output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node with one output."""
        from onnx import helper

        output = f"trees_{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def end(self, name: str, source: str) -> None:
        """Give a value the name of an output."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [source], [name]))

    def constant(self, values: Any) -> str:  # noqa: ANN401 - an array
        """Add an array; strings are objects."""
        from onnx import numpy_helper

        name = f"trees_constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def add_sums(graph: Graph, features: str, trees: Trees) -> str:
    """Add the trees; return the sums as FP32 of shape [batch, targets].

    They get numbers in double precision, first rounded as the library rounds.
    """
    rounded = graph.add("Cast", [features], to=FLOAT) if trees.narrow else features
    wide = graph.add("Cast", [rounded], to=DOUBLE)
    return graph.add("TreeEnsembleRegressor", [wide], domain=ML, **trees.ensemble.attributes())


def add_link(graph: Graph, sums: str, link: str) -> str:
    """Add what turns sums into predictions: probabilities have a column for each class."""
    if link.startswith("mean of "):
        return graph.add("Div", [sums, _number(graph, float(link.rpartition(" ")[2]))])
    if link == "identity":
        return sums
    if link == "signed square":
        return graph.add("Mul", [sums, graph.add("Abs", [sums])])
    if link == "step":
        return graph.add("Cast", [graph.add("Greater", [sums, _number(graph, 0.0)])], to=FLOAT)
    if link == "two classes":
        sigmoid = graph.add("Sigmoid", [sums])
        return graph.add("Concat", [graph.add("Sub", [_number(graph, 1.0), sigmoid]), sigmoid], axis=1)
    operator, attributes = _OPERATORS[link]
    return graph.add(operator, [sums], **attributes)


_OPERATORS: dict[str, Any] = {
    "exp": ("Exp", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "softplus": ("Softplus", {}),
}


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, np.float32))


def add_label(graph: Graph, probabilities: str, classes: Sequence[Any]) -> str:
    """Add the class of the highest probability, the first of equal ones."""
    best = graph.add("ArgMax", [probabilities], axis=1, keepdims=0)
    kind = object if isinstance(classes[0], str) else np.int64
    return graph.add("Gather", [graph.constant(np.array(classes, kind)), best])


def model_of(graph: Graph, inputs: Sequence[Any], outputs: dict[str, Any]) -> Any:  # noqa: ANN401 - onnx may be untyped
    """Return the ONNX model. `outputs` are type and shape by name; the nodes that write them are in the graph."""
    from onnx import helper

    ends = [helper.make_tensor_value_info(name, *described) for name, described in outputs.items()]
    made = helper.make_graph(graph.nodes, "model", list(inputs), ends, graph.initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pilotlight")


def describe(model: Any, names: Sequence[str], labels: Sequence[Any]) -> None:  # noqa: ANN401
    """Write the names of features and classes into the model's metadata, which have no other place in ONNX."""
    for key, values in (("feature_names", names), ("labels", labels)):
        if len(values):
            entry = model.metadata_props.add()
            entry.key, entry.value = "pilotlight." + key, json.dumps(list(values))
