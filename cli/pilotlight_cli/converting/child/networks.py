"""Networks of PyTorch and Keras: tensors in, tensors out, by the exporters of these libraries."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from pilotlight_cli.converting.child.attempts import Proven
from pilotlight_cli.converting.child.compare import Rows, compare
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.rows import Given, to_number

# Rows are fewer if they would have more numbers than this in total.
_MOST_NUMBERS = 20_000_000
_BATCH = 256

_STYLE = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal

_KINDS = {"float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "bool": "bool"}


@dataclass(frozen=True)
class Input:
    """An input: shape without the batch, datatype of numpy, and the range of rows made up for it."""

    shape: Sequence[int]
    dtype: str
    low: float = -2.0
    high: float = 2.0


@dataclass(frozen=True)
class Network:
    """A network and its ONNX graph; `predict` returns the outputs for a batch, in the graph's order.

    `outputs` are the names that the library has for them, if it has.
    """

    model: Any
    inputs: Sequence[Input]
    predict: Callable[[Sequence[Any]], Sequence[Any]]
    outputs: Sequence[str] = ()


def prove(path: Path, form: str, given: Given | None, count: int) -> Proven:
    """Convert a network and compare the answers. Raise CannotConvert."""
    found = _READERS[form](path, given)
    _check_batch(found.model)
    _name_ends(found.model.graph, found.outputs)
    arrays = [read(given, found.inputs)] if given else generate(found.inputs, count)
    names = [value.name for value in found.model.graph.input]
    outputs = [value.name for value in found.model.graph.output]
    answers = _answers(found, arrays)
    rows = Rows(dict(zip(names, arrays)), dict(zip(outputs, answers)), np.zeros(0, np.int64))
    return Proven(found.model, rows, compare(found.model.SerializeToString(), rows))


def generate(inputs: Sequence[Input], count: int) -> list[Any]:
    """Make up rows from a fixed seed."""
    random = np.random.RandomState(0)
    count = max(1, min(count, _MOST_NUMBERS // max(1, sum(int(np.prod(each.shape)) for each in inputs))))
    made = []
    for each in inputs:
        size = (count, *each.shape)
        if each.dtype.startswith("float"):
            made.append(random.uniform(each.low, each.high, size).astype(each.dtype))
        else:
            made.append(random.randint(int(each.low), int(each.high) + 1, size).astype(each.dtype))
    return made


def read(given: Given, inputs: Sequence[Input]) -> Any:  # noqa: ANN401 - an array
    """Return the given rows for the only input. Raise CannotConvert."""
    if len(inputs) != 1:
        raise CannotConvert(
            f"the network has {len(inputs)} inputs, and {given.file} has rows for one; leave --rows out"
        )
    rows = rows_of(given)
    if rows.shape[1:] != tuple(inputs[0].shape):
        raise CannotConvert(
            f"{given.file} has rows of shape {list(rows.shape[1:])}, expected {list(inputs[0].shape)} as the network's"
        )
    return rows.astype(inputs[0].dtype)


def rows_of(given: Given) -> Any:  # noqa: ANN401 - an array
    """Return the numbers of the given rows, those of objects in the order of the first one. Raise CannotConvert."""
    rows = given.rows
    try:
        if isinstance(rows[0], dict):
            rows = [[to_number(row[name]) for name in rows[0]] for row in rows]
        numbers = np.array(rows, np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise CannotConvert(f"{given.file}: expected rows of numbers, all of one shape: {error}") from None
    if numbers.ndim < 2:
        raise CannotConvert(f"{given.file}: found the shape {list(numbers.shape)}, expected rows of numbers")
    return numbers


def _answers(network: Network, arrays: Sequence[Any]) -> list[Any]:
    parts = []
    for first in range(0, len(arrays[0]), _BATCH):
        try:
            found = network.predict([array[first : first + _BATCH] for array in arrays])
        except Exception as error:  # any library's own error
            raise CannotConvert(
                f"the network fails on its rows: {type(error).__name__}: {error}; give real ones with --rows"
            ) from error
        parts.append([np.asarray(each) for each in found])
    return [np.concatenate(each) for each in zip(*parts)]


def _check_batch(model: Any) -> None:  # noqa: ANN401 - onnx may be untyped
    for value in model.graph.input:
        dimensions = value.type.tensor_type.shape.dim
        if not dimensions or dimensions[0].dim_value:
            fixed = dimensions[0].dim_value if dimensions else "no batch"
            raise CannotConvert(
                f"the first dimension of {value.name} is fixed ({fixed}), expected a free batch; export it again with "
                "dynamic_shapes=({0: torch.export.Dim('batch')},)"
            )


def _name_ends(graph: Any, outputs: Sequence[str]) -> None:  # noqa: ANN401
    """Name the only input and the only output as `publish` guesses roles, and several outputs as the library does."""
    if len(graph.input) == 1:
        _rename(graph, graph.input[0], "features")
    names = ["prediction"] if len(graph.output) == 1 else outputs
    for value, name in zip(graph.output, names):
        _rename(graph, value, name)


def _rename(graph: Any, value: Any, name: str) -> None:  # noqa: ANN401
    """Rename an end, instead of by a number; not to what the graph has already."""
    places = [names for node in graph.node for names in (node.input, node.output)]
    if any(name in names for names in places):
        return
    for names in places:
        for index, found in enumerate(names):
            if found == value.name:
                names[index] = name
    value.name = name


def _torchscript(path: Path, given: Given | None) -> Network:
    import torch

    if not given:
        raise CannotConvert(
            "a TorchScript file does not say the shape of its input; give rows with --rows FILE, or save the network "
            "with torch.export.save"
        )
    rows = rows_of(given)
    module = torch.jit.load(str(path), map_location="cpu").eval()
    example = torch.zeros((2, *rows.shape[1:]))
    target = path.with_name("exported.onnx")
    axes = {"features": {0: "batch"}, "prediction": {0: "batch"}}
    try:
        torch.onnx.export(
            module,
            (example,),
            str(target),
            input_names=["features"],
            output_names=["prediction"],
            dynamic_axes=axes,
            dynamo=False,
        )
    except Exception as error:  # the exporter has many
        raise _unexported(error) from error
    return Network(_loaded(target), [Input(rows.shape[1:], "float32")], _torch_predict(module))


def _exported(path: Path, _given: Given | None) -> Network:
    import torch

    program = torch.export.load(str(path))
    arguments, keywords = program.example_inputs or ((), {})
    if keywords or not arguments or not all(isinstance(each, torch.Tensor) for each in arguments):
        raise CannotConvert("the network's example inputs are not tensors by position; export it again with such")
    target = path.with_name("exported.onnx")
    try:
        torch.onnx.export(program, dynamo=True, verbose=False).save(str(target), external_data=False)
    except Exception as error:  # the exporter has many
        raise _unexported(error) from error
    inputs = [_torch_input(each) for each in arguments]
    return Network(_loaded(target), inputs, _torch_predict(program.module()))


def _torch_input(example: Any) -> Input:  # noqa: ANN401 - a tensor
    dtype = str(example.dtype).rpartition(".")[2]
    if dtype not in _KINDS:
        raise CannotConvert(f"an input has the datatype {dtype}, expected {', '.join(_KINDS)}")
    low, high = (-2.0, 2.0) if example.is_floating_point() else (float(example.min()), float(example.max()))
    return Input(tuple(example.shape[1:]), dtype, low, high)


def _torch_predict(module: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:  # noqa: ANN401
    import torch
    from torch.utils import _pytree

    def predict(arrays: Sequence[Any]) -> Sequence[Any]:
        with torch.no_grad():
            found = module(*map(torch.from_numpy, arrays))
        return [each.detach().numpy() for each in _pytree.tree_leaves(found)]

    return predict


def _keras(path: Path, _given: Given | None) -> Network:
    os.environ |= {"KERAS_BACKEND": "torch", "KERAS_HOME": str(path.parent)}
    import keras

    try:
        model = keras.saving.load_model(str(path), compile=False)
    except Exception as error:  # Keras's own, with the whole configuration in it
        reason = str(error).rpartition("Exception encountered: ")[2].split(". ")[0]
        raise CannotConvert(
            f"{path.name} cannot be loaded: {reason}; build the model of Keras's own layers, and save it again"
        ) from error

    def arranged(arrays: Sequence[Any]) -> Any:  # noqa: ANN401 - as the model was built: one, a list or a dict
        structure = 0 if isinstance(model, keras.Sequential) else model.input
        return keras.tree.pack_sequence_as(structure, list(arrays))

    inputs = [_keras_input(each, model) for each in model.inputs]
    target = path.with_name("exported.onnx")
    try:
        model(arranged(generate(inputs, 2)))  # export wants a called one
        model.export(str(target), format="onnx", verbose=False)
    except Exception as error:  # the exporter has many
        raise _unexported(error) from error

    def predict(arrays: Sequence[Any]) -> Sequence[Any]:
        return list(keras.tree.flatten(model.predict_on_batch(arranged(arrays))))

    names = getattr(model, "output_names", [])  # of layers
    if not isinstance(model, keras.Sequential) and isinstance(model.output, dict):
        names = [".".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(model.output)]
    return Network(_loaded(target), inputs, predict, names)


def _keras_input(tensor: Any, model: Any) -> Input:  # noqa: ANN401
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise CannotConvert(f"the input {tensor.name} has the shape {tensor.shape}, expected only the batch to be free")
    words = [layer.input_dim for layer in model.layers if type(layer).__name__ == "Embedding"]
    if words:
        return Input(shape, "float32" if tensor.dtype == "float32" else str(tensor.dtype), 0, min(words) - 1)
    return Input(shape, str(tensor.dtype))


def _unexported(error: Exception) -> CannotConvert:
    lines = [line for line in _STYLE.sub("", str(error)).splitlines() if line.strip()]
    return CannotConvert(f"the exporter cannot convert it: {type(error).__name__}: {' '.join(lines[:2])}")


def _loaded(path: Path) -> Any:  # noqa: ANN401
    import onnx

    return onnx.load(str(path))


_READERS = {"exported": _exported, "keras": _keras, "torchscript": _torchscript}
