"""Models to measure with, made here: random weights from fixed seeds, in the form in which exporters write them.

Each function writes one ONNX file, weights inside, and returns sample inputs by name. The same call gives the same
bytes with the same libraries. Needs onnx and scikit-learn: the group `dev`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import joblib
import numpy as np
import onnx
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

Arrays: TypeAlias = "dict[str, NDArray[Any]]"
_Weights: TypeAlias = "NDArray[np.float32]"

_OPSET: Final = 17
_IR_VERSION: Final = 8
_SEED: Final = 20_240_613

_FEATURES: Final = 30


class _Graph:
    """A model in the making, in one place: large weights are not copied. A tensor's name is that of what makes it."""

    def __init__(self, seed: int = _SEED) -> None:
        self.random = np.random.default_rng(seed)
        self.model = onnx.ModelProto(ir_version=_IR_VERSION, opset_import=[onnx.helper.make_opsetid("", _OPSET)])

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - what the operator takes
        """Return a node with one output of its name; an empty input is one left out."""
        self.model.graph.node.append(onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Return an initializer."""
        self.model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        return name

    def normal(self, name: str, *shape: int, fan: int) -> str:
        """Weights that keep the size of what goes through them; `fan` is how many numbers a sum has."""
        drawn: _Weights = self.random.standard_normal(shape, np.float32)
        drawn *= np.float32(fan**-0.5)
        return self.weight(name, drawn)

    def filled(self, name: str, length: int, value: float) -> str:
        """Return a vector of one value."""
        return self.weight(name, np.full(length, value, np.float32))

    def linear(self, name: str, value: str, width_in: int, width_out: int) -> str:
        """`value @ weight + bias` over the last dimension, as two nodes."""
        product = self.add(
            "MatMul", f"{name}.matmul", value, self.normal(f"{name}.weight", width_in, width_out, fan=width_in)
        )
        return self.add("Add", name, self.filled(f"{name}.bias", width_out, 0.01), product)

    def write(
        self, path: Path, name: str, inputs: Mapping[str, tuple[int, list[Any]]], output: tuple[str, list[Any]]
    ) -> None:
        """Write the model, whose one output is FP32; inputs have element type and shape."""
        graph = self.model.graph
        graph.name = name
        graph.input.extend(onnx.helper.make_tensor_value_info(key, *described) for key, described in inputs.items())
        graph.output.append(onnx.helper.make_tensor_value_info(output[0], onnx.TensorProto.FLOAT, output[1]))
        path.write_bytes(self.model.SerializeToString(deterministic=True))


def mlp(path: Path, widths: tuple[int, ...] = (1024, 2048, 2048, 1024, 10)) -> Arrays:
    """Dense layers, 34 MB: `features` FP32 [N, 1024] to `scores` FP32 [N, 10]. Other widths make other sizes."""
    graph = _Graph()
    value = "features"
    for layer, (width_in, width_out) in enumerate(pairwise(widths)):
        value = graph.linear(f"layer{layer}", value, width_in, width_out)
        if layer < len(widths) - 2:
            value = graph.add("Relu", f"relu{layer}", value)
    graph.add("Softmax", "scores", value, axis=-1)
    graph.write(path, "mlp", {"features": (onnx.TensorProto.FLOAT, ["N", widths[0]])}, ("scores", ["N", widths[-1]]))
    return {"features": np.random.default_rng(1).standard_normal((1, widths[0]), np.float32)}


def resnet18(path: Path) -> Arrays:
    """ResNet-18 with its batch normalisations, 47 MB: `image` FP32 [1, 3, 224, 224] to `scores` FP32 [1, 1000]."""
    graph = _Graph()
    value = _convolved(graph, "stem", "image", (3, 64), size=7, stride=2)
    value = graph.add("Relu", "stem.relu", value)
    value = graph.add("MaxPool", "stem.pool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    width_in = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            value = _residual(graph, f"stage{stage}.block{block}", value, (width_in, width), stride)
            width_in = width
    value = graph.add("Flatten", "flat", graph.add("GlobalAveragePool", "pooled", value))
    weight = graph.normal("fc.weight", 1000, width_in, fan=width_in)
    graph.add("Gemm", "scores", value, weight, graph.filled("fc.bias", 1000, 0.0), transB=1)
    graph.write(path, "resnet18", {"image": (onnx.TensorProto.FLOAT, [1, 3, 224, 224])}, ("scores", [1, 1000]))
    return {"image": np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)}


def transformer(path: Path, layers: int = 12, width: int = 768, words: int = 30_522, length: int = 16) -> Arrays:
    """Return an encoder of BERT's base size, 436 MB, from INT64 [1, 16] to `last_hidden_state` FP32 [1, 16, 768].

    The inputs are `input_ids`, `attention_mask` and `token_type_ids`.
    """
    graph = _Graph()
    value = _embedded(graph, width, words, length)
    mask = _mask(graph)
    for layer in range(layers):
        value = _encoder(graph, f"layer{layer}", value, mask, width)
    graph.add("Identity", "last_hidden_state", value)
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: (int(onnx.TensorProto.INT64), [1, length]) for name in names}
    graph.write(path, "transformer", inputs, ("last_hidden_state", [1, length, width]))
    ids = np.random.default_rng(1).integers(0, words, (1, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def small_forest(path: Path) -> Arrays:
    """Gradient-boosted trees, 0.2 MB: `features` FP32 [N, 30] to `label` INT64 [N] and `probabilities` FP32 [N, 2].

    Beside it lies the same model as scikit-learn has it, in a file of joblib: `path` with the ending .joblib.
    """
    rows, classes = make_classification(2000, _FEATURES, n_informative=15, random_state=_SEED)
    rows = rows.astype(np.float32)
    forest = GradientBoostingClassifier(n_estimators=200, max_depth=4, random_state=_SEED).fit(rows, classes)
    joblib.dump(forest, path.with_suffix(".joblib"))
    model = skl2onnx.convert_sklearn(
        forest,
        name="forest",
        initial_types=[("features", FloatTensorType([None, _FEATURES]))],
        options={"zipmap": False},
        target_opset={"": _OPSET, "ai.onnx.ml": 3},
    )
    path.write_bytes(model.SerializeToString(deterministic=True))
    return {"features": rows[:1]}


MODELS: Final[Mapping[str, Callable[[Path], Arrays]]] = {
    "small_forest": small_forest,
    "mlp": mlp,
    "resnet18": resnet18,
    "transformer": transformer,
}


def _convolved(graph: _Graph, name: str, value: str, widths: tuple[int, int], *, size: int, stride: int) -> str:
    """Return a convolution without a bias, and the normalisation after it."""
    width_in, width = widths
    # Half of what goes in is zero after a ReLU, hence the 2.
    weight = graph.normal(f"{name}.weight", width, width_in, size, size, fan=width_in * size * size // 2)
    pads = [size // 2] * 4
    value = graph.add(
        "Conv", f"{name}.conv", value, weight, kernel_shape=[size, size], strides=[stride, stride], pads=pads
    )
    learned = [
        graph.filled(f"{name}.{part}", width, start) for part, start in (("scale", 1), ("shift", 0), ("mean", 0))
    ]
    return graph.add("BatchNormalization", name, value, *learned, graph.filled(f"{name}.variance", width, 2.0))


def _residual(graph: _Graph, name: str, value: str, widths: tuple[int, int], stride: int) -> str:
    width_in, width = widths
    straight = graph.add("Relu", f"{name}.relu0", _convolved(graph, f"{name}.0", value, widths, size=3, stride=stride))
    straight = _convolved(graph, f"{name}.1", straight, (width, width), size=3, stride=1)
    beside = _convolved(graph, f"{name}.beside", value, widths, size=1, stride=stride) if width_in != width else value
    return graph.add("Relu", f"{name}.relu1", graph.add("Add", f"{name}.sum", straight, beside))


def _embedded(graph: _Graph, width: int, words: int, length: int) -> str:
    word = graph.add("Gather", "words", graph.normal("words.weight", words, width, fan=1), "input_ids")
    kind = graph.add("Gather", "kinds", graph.normal("kinds.weight", 2, width, fan=1), "token_type_ids")
    places = graph.weight("places.ids", np.arange(length)[None])
    place = graph.add("Gather", "places", graph.normal("places.weight", 512, width, fan=1), places)
    total = graph.add("Add", "embedded", graph.add("Add", "words_and_kinds", word, kind), place)
    return _normalised(graph, "embedded.norm", total, width)


def _mask(graph: _Graph) -> str:
    """0 where there is a word and a very low number where there is none, [1, 1, 1, length]."""
    mask = graph.add("Cast", "mask.float", "attention_mask", to=onnx.TensorProto.FLOAT)
    mask = graph.add("Unsqueeze", "mask.wide", mask, graph.weight("mask.axes", np.array([1, 2])))
    none = graph.add("Sub", "mask.none", graph.weight("mask.one", np.array(1, np.float32)), mask)
    return graph.add("Mul", "mask", none, graph.weight("mask.low", np.array(-10_000, np.float32)))


def _encoder(graph: _Graph, name: str, value: str, mask: str, width: int) -> str:
    attended = graph.linear(f"{name}.out", _attention(graph, name, value, mask, width), width, width)
    value = _normalised(graph, f"{name}.norm0", graph.add("Add", f"{name}.sum0", attended, value), width)
    inner = _gelu(graph, f"{name}.gelu", graph.linear(f"{name}.inner", value, width, 4 * width))
    outer = graph.linear(f"{name}.outer", inner, 4 * width, width)
    return _normalised(graph, f"{name}.norm1", graph.add("Add", f"{name}.sum1", outer, value), width)


def _attention(graph: _Graph, name: str, value: str, mask: str, width: int) -> str:
    """Heads of 64 numbers each, before the projection that follows them."""
    heads = graph.weight(f"{name}.heads", np.array([0, 0, width // 64, 64]))

    def split(part: str, order: list[int]) -> str:
        projected = graph.linear(f"{name}.{part}", value, width, width)
        shaped = graph.add("Reshape", f"{name}.{part}.heads", projected, heads)
        return graph.add("Transpose", f"{name}.{part}.turned", shaped, perm=order)

    query, key, content = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = graph.add("MatMul", f"{name}.scores", query, key)
    scores = graph.add("Div", f"{name}.scaled", scores, graph.weight(f"{name}.scale", np.array(8, np.float32)))
    weights = graph.add("Softmax", f"{name}.softmax", graph.add("Add", f"{name}.masked", scores, mask), axis=-1)
    mixed = graph.add("MatMul", f"{name}.mixed", weights, content)
    mixed = graph.add("Transpose", f"{name}.mixed.turned", mixed, perm=[0, 2, 1, 3])
    return graph.add("Reshape", f"{name}.attended", mixed, graph.weight(f"{name}.joined", np.array([0, 0, width])))


def _gelu(graph: _Graph, name: str, value: str) -> str:
    """Return the exact GELU, written out as exporters do."""
    root = graph.weight(f"{name}.root", np.array(2**0.5, np.float32))
    one, half = (
        graph.weight(f"{name}.{text}", np.array(number, np.float32)) for text, number in (("one", 1), ("half", 0.5))
    )
    bent = graph.add("Erf", f"{name}.erf", graph.add("Div", f"{name}.div", value, root))
    return graph.add(
        "Mul", name, graph.add("Mul", f"{name}.mul", value, graph.add("Add", f"{name}.add", bent, one)), half
    )


def _normalised(graph: _Graph, name: str, value: str, width: int) -> str:
    scale, shift = graph.filled(f"{name}.scale", width, 1.0), graph.filled(f"{name}.shift", width, 0.0)
    return graph.add("LayerNormalization", name, value, scale, shift, axis=-1, epsilon=1e-12)


def main(arguments: Sequence[str]) -> None:
    """Write the models of those names, or all, into a folder."""
    parser = argparse.ArgumentParser(prog="bench/large_models.py", description="Write the models to measure with.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - MODELS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names or MODELS:
        MODELS[name](given.folder / f"{name}.onnx")


if __name__ == "__main__":
    main(sys.argv[1:])
