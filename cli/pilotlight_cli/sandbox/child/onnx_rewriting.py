"""Rewriting an ONNX graph so that a function can serve it. Each change is proved later, by running both graphs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from pilotlight_cli.formats.onnx_file import depends_on_locale, fixed_batch
from pilotlight_cli.formats.onnx_graph import Message, read_graph, read_node
from pilotlight_cli.sandbox.child.onnx_metadata import LABELS

LOCALE: Final = "C.UTF-8"

_SPLITS: Final = "SplitToSequence"
_OPSET: Final = 13


@dataclass(frozen=True, slots=True)
class End:
    """An output that was no tensor: the tensors that it became, and the keys of its maps, or how it was stacked."""

    name: str
    outputs: tuple[str, ...]
    kind: Literal["maps", "elements", "stack", "concat", "value"]
    keys: tuple[str | int, ...] = ()
    axis: int = 0


@dataclass(slots=True)
class Rewriting:
    """A graph under change: `changes` are sentences about it, `batch` is the fixed one that was freed, or 0."""

    model: ModelProto
    changes: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    locales: tuple[str, ...] = ()
    batch: int = 0


def set_locale(rewriting: Rewriting) -> None:
    """Replace locales that not every system has."""
    found = set()
    for node in _all_nodes(rewriting.model):
        raw = node.SerializeToString()
        if depends_on_locale(read_node(Message(raw, 0, len(raw)))):
            locale = next((each for each in node.attribute if each.name == "locale"), None)
            found.add(locale.s.decode() if locale is not None else "en_US.UTF-8")
            if locale is not None:
                node.attribute.remove(locale)
            node.attribute.append(helper.make_attribute("locale", LOCALE))
    rewriting.locales = tuple(sorted(found))


def make_tensors(rewriting: Rewriting) -> None:
    """Replace inputs and outputs that are no tensors, where the graph shows how."""
    graph = rewriting.model.graph
    for index, value in enumerate(graph.input):
        if value.type.HasField("optional_type") and value.type.optional_type.elem_type.HasField("tensor_type"):
            _require(rewriting, index)
    for value in [ValueInfoProto.FromString(each.SerializeToString()) for each in graph.output]:
        node = next((node for node in graph.node if value.name in node.output), None)
        if node is None or value.type.HasField("tensor_type"):
            continue
        if node.op_type == "ZipMap":
            _take_zipmap_out(rewriting, value, node)
        elif node.op_type == "SequenceConstruct":
            _take_elements(rewriting, value, node)
        elif value.type.sequence_type.elem_type.HasField("tensor_type"):
            _stack(rewriting, value, node)
        elif value.type.optional_type.elem_type.HasField("tensor_type"):
            _take_value(rewriting, value)


def with_float_maps(model: ModelProto) -> ModelProto | None:
    """Return a copy whose ZipMaps of doubles, which ONNX Runtime does not load, have them as floats; None without any.

    skl2onnx writes such maps for double inputs; the operator takes float tensors alone.
    """
    copy = ModelProto.FromString(model.SerializeToString())
    maps = {
        value.name: value.type.sequence_type.elem_type.map_type.value_type.tensor_type for value in copy.graph.output
    }
    found = [
        (place, node)
        for place, node in enumerate(copy.graph.node)
        if node.op_type == "ZipMap" and maps[node.output[0]].elem_type == TensorProto.DOUBLE
    ]
    for place, node in reversed(found):
        maps[node.output[0]].elem_type = TensorProto.FLOAT
        floats = f"{node.output[0]}_floats"
        copy.graph.node.insert(place, _new_node(copy, "Cast", node.input, [floats], to=TensorProto.FLOAT))
        node.input[:] = [floats]
    return copy if found else None


def put_metadata(rewriting: Rewriting, key: str, values: Sequence[str | int]) -> None:
    """Put a list into the metadata, in the place of another."""
    metadata, text = rewriting.model.metadata_props, json.dumps(list(values))
    found = next((entry for entry in metadata if entry.key == key), None)
    if found is not None and found.value == text:
        return
    if found is not None:
        metadata.remove(found)
    metadata.add(key=key, value=text)
    rewriting.changes.append(f"{len(values)} names were put into the metadata {key}")


def keep_labels(rewriting: Rewriting) -> None:
    """Put the keys of the one ZipMap that was taken out into the metadata, unless labels are there."""
    keys = [end.keys for end in rewriting.ends if end.kind == "maps"]
    if len(keys) == 1 and LABELS not in {entry.key for entry in rewriting.model.metadata_props}:
        rewriting.model.metadata_props.add(key=LABELS, value=json.dumps(keys[0]))


def _take_zipmap_out(rewriting: Rewriting, value: ValueInfoProto, node: NodeProto) -> None:
    """Replace a ZipMap by its input, whose columns are in the order of its keys."""
    keys = tuple(
        each.decode() if isinstance(each, bytes) else each
        for attribute in node.attribute
        for each in (attribute.strings or attribute.ints)
    )
    kind = value.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type
    name = value.name
    node.CopyFrom(_new_node(rewriting.model, "Identity", node.input, node.output))
    _replace_output(rewriting.model.graph, name, [helper.make_tensor_value_info(name, kind, [None, len(keys)])])
    rewriting.ends.append(End(name, (name,), "maps", keys))
    rewriting.changes.append(
        f"ZipMap was taken out: the output {name!r} is a tensor with a column for each of its {len(keys)} labels"
    )


def _take_elements(rewriting: Rewriting, value: ValueInfoProto, node: NodeProto) -> None:
    """Replace a sequence by the tensors that it was made of."""
    model, name = rewriting.model, value.name
    kind = value.type.sequence_type.elem_type.tensor_type.elem_type
    taken = {made for each in model.graph.node for made in each.output} | {each.name for each in model.graph.input}
    names = [f"{name}_{place}" for place in range(len(node.input))]
    while taken.intersection(names):
        names = [f"{each}_" for each in names]
    for source, made in zip(node.input, names, strict=True):
        model.graph.node.append(_new_node(model, "Identity", [source], [made]))
    _replace_output(model.graph, name, [helper.make_tensor_value_info(made, kind, None) for made in names])
    rewriting.ends.append(End(name, tuple(names), "elements"))
    rewriting.changes.append(f"the sequence {name!r} was replaced by its tensors {', '.join(map(repr, names))}")


def _stack(rewriting: Rewriting, value: ValueInfoProto, node: NodeProto) -> None:
    """Replace a sequence by one tensor of its elements, which have to have one shape."""
    model, name = rewriting.model, value.name
    kind = value.type.sequence_type.elem_type.tensor_type.elem_type
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    by_row = node.op_type == _SPLITS and attributes.get("axis", 0) == 0
    axis, new = (0, int(not attributes.get("keepdims", 1))) if by_row else (1, 1)
    source = _rename(model, name)
    model.graph.node.append(_new_node(model, "ConcatFromSequence", [source], [name], axis=axis, new_axis=new))
    _replace_output(model.graph, name, [helper.make_tensor_value_info(name, kind, None)])
    rewriting.ends.append(End(name, (name,), "stack" if new else "concat", axis=axis))
    rewriting.changes.append(f"the sequence {name!r} was replaced by one tensor of its elements")


def _take_value(rewriting: Rewriting, value: ValueInfoProto) -> None:
    """Replace an optional tensor by its value."""
    model, name = rewriting.model, value.name
    kind = value.type.optional_type.elem_type.tensor_type.elem_type
    model.graph.node.append(_new_node(model, "OptionalGetElement", [_rename(model, name)], [name]))
    _replace_output(model.graph, name, [helper.make_tensor_value_info(name, kind, None)])
    rewriting.ends.append(End(name, (name,), "value"))
    rewriting.changes.append(f"the optional output {name!r} was replaced by its tensor")


def _require(rewriting: Rewriting, index: int) -> None:
    """Replace an optional input by its tensor."""
    graph = rewriting.model.graph
    value = graph.input[index]
    inner = TypeProto()
    inner.CopyFrom(value.type.optional_type.elem_type)
    value.type.CopyFrom(inner)
    made = _rename(rewriting.model, value.name)
    graph.node.insert(0, _new_node(rewriting.model, "Optional", [value.name], [made]))
    rewriting.changes.append(f"the optional input {value.name!r} has to be in each request")


def free_batch(rewriting: Rewriting) -> None:
    """Make the fixed first length of all inputs any length, as far as shapes and reshapes name it."""
    graph = rewriting.model.graph
    raw = rewriting.model.SerializeToString()
    batch = fixed_batch(read_graph(raw))
    if not batch:
        return
    for value in (*graph.input, *graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions and dimensions[0].dim_value == batch:
            dimensions[0].dim_param = "batch"
    del graph.value_info[:]
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer if each.data_type == 7}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].t.data_type == 7:
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for place, node in enumerate(graph.node):
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.ndim == 1 and len(shape) and shape[0] == batch:
            name = f"{node.input[1]}_free_{place}"
            first = 0 if -1 in shape else -1
            graph.initializer.append(numpy_helper.from_array(np.array([first, *shape[1:]], np.int64), name))
            node.input[1] = name
    rewriting.batch = batch
    rewriting.changes.append(f"the batch, fixed at {batch}, was made free: a row is answered in any batch as by itself")


def _new_node(
    model: ModelProto, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int
) -> NodeProto:
    """Return a node of ONNX's own operators, which the model may not import yet: CatBoost's has ai.onnx.ml alone."""
    if not any(each.domain in ("", "ai.onnx") for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", _OPSET))
    node = helper.make_node(operator, inputs, outputs)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return node


def _rename(model: ModelProto, name: str) -> str:
    """Give what nodes make and take under a name another one, and return that."""
    other = f"{name}_before"
    for node in _all_nodes(model):
        node.output[:] = [other if each == name else each for each in node.output]
        node.input[:] = [other if each == name else each for each in node.input]
    return other


def _replace_output(graph: GraphProto, name: str, others: Sequence[ValueInfoProto]) -> None:
    outputs = [each for old in graph.output for each in (others if old.name == name else [old])]
    made = [ValueInfoProto.FromString(each.SerializeToString()) for each in outputs]
    del graph.output[:]
    graph.output.extend(made)


def _all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Yield the nodes of the main graph, of graphs within it, and of functions."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting.extend(inner for graph in _graphs(attribute) for inner in graph.node)


def _graphs(attribute: AttributeProto) -> list[GraphProto]:
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
