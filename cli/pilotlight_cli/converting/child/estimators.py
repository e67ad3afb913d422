"""Models of scikit-learn's form, and bare boosters, as ONNX graphs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Sequence

import numpy as np

from pilotlight_cli.converting.child import boosters, columns, imputers, rows
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.graph import (
    DOUBLE,
    FLOAT,
    INT64,
    ML,
    ML_OPSET,
    OPSET,
    Graph,
    add_label,
    add_link,
    add_sums,
    describe,
    model_of,
)
from pilotlight_cli.converting.child.inversion import Front
from pilotlight_cli.converting.child.models import Column, Converted, Table, Trees

_STRING = 8  # onnx.TensorProto
_FEATURES = "features"


def convert(model: Any, dtype: str) -> Converted:  # noqa: ANN401 - the libraries may be untyped
    """Convert a fitted model; numbers are of `dtype`, except for trees of a library that rounds to FP32.

    Raise CannotConvert.
    """
    steps, final = _steps(model)
    trees = boosters.read(final)
    if trees is None:
        return _converted(model, dtype)
    classes, predict, notes = _answers(model, final, trees)
    front = None
    if steps:
        table = replace(columns.find(model), dtype=dtype)
        graph, onnx_model = Graph(), _transformed(steps, table)
        (end,) = onnx_model.graph.output
        _write_trees(graph, end.name, trees, classes)
        del onnx_model.graph.output[:]
        onnx_model.graph.node.extend(graph.nodes)
        onnx_model.graph.initializer.extend(graph.initializers)
        onnx_model.graph.output.extend(model_of(Graph(), [], _ends(trees, classes)).graph.output)
        _raise_opset(onnx_model)
        front = Front(end.name, _transform(steps, table), "float32" if trees.narrow else "float64")
    else:
        names = trees.names or getattr(model, "feature_names_in_", ())
        found = [Column(str(name)) for name in (names if len(names) else map("f{}".format, range(trees.width)))]
        named = bool(len(names)) and type(model).__name__ != "Booster"
        table = Table(found, named, matrix=True, dtype="float32" if trees.narrow else "float64")
        graph = Graph()
        _write_trees(graph, _FEATURES, trees, classes)
        onnx_model = model_of(graph, _inputs(table), _ends(trees, classes))
    describe(onnx_model, [column.name for column in table.columns] if table.matrix else (), classes)
    return Converted(onnx_model, table, predict, classes, exact=not steps, notes=notes, front=front)


def _steps(model: Any) -> tuple[list[Any], Any]:  # noqa: ANN401
    """Return the transformers of a pipeline, and what predicts."""
    if not hasattr(model, "steps"):
        return [], model
    steps = [(name, step) for name, step in model.steps if step is not None and step != "passthrough"]
    inner, final = _steps(steps[-1][1])
    return [*steps[:-1], *inner], final


def _transform(steps: list[Any], table: Table) -> Callable[[Sequence[Any]], Any]:
    """Return what turns columns into the features of a pipeline's last step."""

    def transform(columns: Sequence[Any]) -> Any:  # noqa: ANN401 - an array
        features = rows.arrange(table, columns)
        for _, step in steps:
            features = step.transform(features)
        return np.asarray(features.toarray() if hasattr(features, "toarray") else features)

    return transform


def _answers(model: Any, final: Any, trees: Trees) -> tuple[Sequence[Any], Any, list[str]]:  # noqa: ANN401
    if type(model).__name__ == "Booster":
        return (*boosters.predictor(model, trees), [])
    notes: list[str] = []
    classes = _classes(final, notes) if trees.labels else []
    return classes, _predictor(model, classes), notes


def _classes(model: Any, notes: list[str]) -> list[Any]:  # noqa: ANN401
    """Return the classes as strings or whole numbers. Raise CannotConvert for others."""
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise CannotConvert(f"the model predicts {len(classes)} labels for each row; convert a model for each")
    found = np.asarray(classes).tolist()
    if all(isinstance(value, str) for value in found):
        return list(found)
    if not all(isinstance(value, (int, float)) and value == int(value) for value in found):
        raise CannotConvert(f"the classes are {found[:5]}, expected strings or whole numbers; train on these")
    if not all(type(value) is int for value in found):
        notes.append(f"the classes {found} are {[int(value) for value in found]} in ONNX")
    return [int(value) for value in found]


def _predictor(model: Any, classes: Sequence[Any]) -> boosters.Predict:  # noqa: ANN401
    """Return a function with the model's own predictions, as outputs."""

    def predict(rows: Any) -> dict[str, Any]:  # noqa: ANN401
        answer = np.asarray(model.predict(rows))
        if not classes:
            return {"prediction": answer}
        texts = isinstance(classes[0], str)
        outputs = {"label": answer.ravel().astype(object if texts else np.float64)}
        if not texts:
            outputs["label"] = outputs["label"].astype(np.int64)
        if hasattr(model, "predict_proba"):
            outputs["probabilities"] = np.asarray(model.predict_proba(rows))
        return outputs

    return predict


def _write_trees(graph: Graph, features: str, trees: Trees, classes: Sequence[Any]) -> None:
    """Write the nodes from a matrix of features to the outputs that `_ends` describes."""
    sums = add_sums(graph, features, trees)
    answer = add_link(graph, sums, trees.link)
    if classes:
        graph.end("label", add_label(graph, answer, classes))
        graph.end("probabilities", answer)
    else:
        flat = trees.ensemble.targets == 1
        graph.end("prediction", graph.add("Reshape", [answer, graph.constant(np.array([-1]))]) if flat else answer)


def _ends(trees: Trees, classes: Sequence[Any]) -> dict[str, Any]:
    if classes:
        kind = _STRING if isinstance(classes[0], str) else INT64
        return {"label": (kind, ["batch"]), "probabilities": (FLOAT, ["batch", len(classes)])}
    targets = trees.ensemble.targets
    return {"prediction": (FLOAT, ["batch", targets] if targets > 1 else ["batch"])}


def _inputs(table: Table) -> list[Any]:
    from onnx import helper

    number = FLOAT if table.dtype == "float32" else DOUBLE
    if table.matrix:
        return [helper.make_tensor_value_info(_FEATURES, number, ["batch", len(table.columns)])]
    return [
        helper.make_tensor_value_info(column.name, _STRING if column.text else number, ["batch", 1])
        for column in table.columns
    ]


def _types(table: Table) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    number = FloatTensorType if table.dtype == "float32" else DoubleTensorType
    if table.matrix:
        return [(_FEATURES, number([None, len(table.columns)]))]
    return [(column.name, (StringTensorType if column.text else number)([None, 1])) for column in table.columns]


def _skl2onnx(model: Any, table: Table, options: dict[str, Any]) -> Any:  # noqa: ANN401
    """Convert with skl2onnx. Raise CannotConvert."""
    import skl2onnx
    from onnx import helper

    opset = min(OPSET, skl2onnx.__max_supported_opset__)
    target = {"": opset, "ai.onnx.ml": ML_OPSET}
    convert = partial(
        skl2onnx.convert_sklearn,
        model,
        initial_types=_types(table),
        target_opset=target,
        custom_conversion_functions=imputers.converter(),
    )
    try:
        try:
            made = convert(options=options)
        except NameError:  # a model without this option has no ZipMap
            made = convert()
    except Exception as error:  # skl2onnx has many errors for what it cannot convert
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise CannotConvert(f"skl2onnx cannot convert it: {type(error).__name__}: {first}") from error
    _restore_names(made.graph, table)
    for node in made.graph.node:
        if node.op_type == "StringNormalizer":  # its locale is en_US.UTF-8, which functions do not have
            for index, attribute in reversed(list(enumerate(node.attribute))):
                if attribute.name == "locale":
                    del node.attribute[index]
            node.attribute.append(helper.make_attribute("locale", "C.UTF-8"))
    return made


def _transformed(steps: list[Any], table: Table) -> Any:  # noqa: ANN401
    from sklearn.pipeline import Pipeline

    return _skl2onnx(Pipeline(steps), table, {})


def _converted(model: Any, dtype: str) -> Converted:  # noqa: ANN401
    """Convert a model that is not of trees, and name its outputs."""
    if not hasattr(model, "predict"):
        raise CannotConvert(f"found a {type(model).__name__}, expected a model with predict")
    table = replace(columns.find(model), dtype=dtype)
    notes: list[str] = []
    classes = _classes(model, notes) if getattr(model, "classes_", None) is not None else []
    made = _skl2onnx(model, table, {"zipmap": False} if classes else {})
    predict = _predictor(model, classes)
    names = ["label", *(["probabilities"] if hasattr(model, "predict_proba") else [])] if classes else ["prediction"]
    outputs = list(made.graph.output)
    del made.graph.output[:]
    for name, output in zip(names, outputs):
        _end(made.graph, name, output, len(classes))
    describe(made, [column.name for column in table.columns] if table.matrix else (), classes)
    return Converted(made, table, predict, classes, exact=False, notes=notes)


def _restore_names(graph: Any, table: Table) -> None:  # noqa: ANN401
    """Give the inputs the names of their columns, in which skl2onnx has replaced characters; it keeps their order."""
    if table.matrix:
        return
    inputs = list(graph.input)
    for column in table.columns:
        if inputs and inputs[0].name.strip("_") == re.sub(r"\W", "_", column.name, flags=re.ASCII).strip("_"):
            _rename(graph, inputs.pop(0), column.name)
    if inputs:
        raise CannotConvert(f"skl2onnx has renamed the columns {[each.name for each in inputs]}")


def _rename(graph: Any, value: Any, name: str) -> None:  # noqa: ANN401
    for node in graph.node:
        for names in (node.input, node.output):
            for index, found in enumerate(names):
                if found == value.name:
                    names[index] = name
    value.name = name


def _end(graph: Any, name: str, output: Any, classes: int) -> None:  # noqa: ANN401
    """Give an output its name and a shape: one value a row has no second dimension."""
    from onnx import helper

    inner = "model_" + output.name
    _rename(graph, output, inner)
    width = classes if name == "probabilities" else _width(output)
    shape: list[Any] = ["batch", width] if name == "probabilities" or width > 1 else ["batch"]
    sizes = helper.make_tensor("shape_of_" + name, INT64, [len(shape)], [-1, *shape[1:]])
    graph.initializer.append(sizes)
    kind = output.type.tensor_type.elem_type
    flat = name if kind == _STRING else "shaped_" + name
    graph.node.append(helper.make_node("Reshape", [inner, sizes.name], [flat]))
    if kind != _STRING:  # the converter may declare another type than its nodes have
        graph.node.append(helper.make_node("Cast", [flat], [name], to=kind))
    graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _raise_opset(model: Any) -> None:  # noqa: ANN401
    """Let a graph of skl2onnx have the nodes of trees."""
    from onnx import helper

    entries = [entry for entry in model.opset_import if entry.domain == ML]
    for entry in entries:
        entry.version = max(entry.version, ML_OPSET)
    if not entries:
        model.opset_import.append(helper.make_opsetid(ML, ML_OPSET))


def _width(output: Any) -> int:  # noqa: ANN401
    dimensions = output.type.tensor_type.shape.dim
    return int(dimensions[1].dim_value) if len(dimensions) > 1 else 1
