"""ONNX graphs as converters write them: those of skl2onnx for real, others node by node as they are in their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from models import OPSETS

CLASSES = (0, 10, 20)
WIDTH = 4
_RANDOM = np.random.default_rng(0)
POINTS = _RANDOM.normal(size=(90, WIDTH)).astype(np.float32)
TENS = np.repeat(CLASSES, 30)
WORDS = np.array(["no", "perhaps", "yes"])[TENS // 10]

node = helper.make_node


def floats(name: str, *shape: str | int | None) -> ValueInfoProto:
    """Return a value of FP32; a length of None has no name."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def integers(name: str, *shape: str | int | None) -> ValueInfoProto:
    """Return a value of INT64."""
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def constant(name: str, values: Any) -> TensorProto:
    """Return an initializer."""
    return numpy_helper.from_array(np.asarray(values), name)


def maps(name: str, key: int = TensorProto.INT64) -> ValueInfoProto:
    """Return a value as ZipMap makes it: a sequence of maps of classes to FP32."""
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    return helper.make_value_info(name, helper.make_sequence_type_proto(helper.make_map_type_proto(key, value)))


def save(
    folder: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Sequence[TensorProto] = (),
) -> Path:
    """Write a model with that graph."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def sklearn(
    folder: Path, estimator: Any, classes: Any = TENS, shape: Any = WIDTH, *, double: bool = False, **options: Any
) -> Path:
    """Fit an estimator and write it with skl2onnx, with its columns as one matrix of FP32, or `double`s."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    estimator.fit(POINTS, classes)
    model = convert_sklearn(
        estimator,
        initial_types=[("X", (DoubleTensorType if double else FloatTensorType)([None, shape]))],
        options=options or None,
        target_opset=OPSETS,
    )
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def with_metadata(path: Path, metadata: Mapping[str, str]) -> Path:
    """Add metadata to a model."""
    model = onnx.load(path, load_external_data=False)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    return path


def stumps(missing: int = 0) -> dict[str, Any]:
    """Return the attributes of two trees of one split each, on the first and on the third column."""
    return {
        "nodes_treeids": [0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 0, 1, 2],
        "nodes_featureids": [0, 0, 0, 2, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        "nodes_values": [0.25, 0.0, 0.0, -0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": [missing, 0, 0, missing, 0, 0],
    }


def leaves(kind: str, index: int) -> dict[str, Any]:
    """Return the attributes of the leaves of `stumps`: `kind` is `class` or `target`, `index` the one they add to."""
    return {
        f"{kind}_treeids": [0, 0, 1, 1],
        f"{kind}_nodeids": [1, 2, 1, 2],
        f"{kind}_ids": [index] * 4,
        f"{kind}_weights": [0.7, -0.4, -0.6, 1.1],
    }


def catboost_regressor(folder: Path) -> Path:
    """Write what CatBoostRegressor.save_model(format="onnx") does: [N] is declared, [N, 1] is given."""
    trees = node(
        "TreeEnsembleRegressor",
        ["features"],
        ["predictions"],
        domain="ai.onnx.ml",
        n_targets=1,
        post_transform="NONE",
        **stumps(),
        **leaves("target", 0),
    )
    return save(folder, [trees], [floats("features", "N", WIDTH)], [floats("predictions", "N")])


def catboost_classifier(folder: Path) -> Path:
    """Write what CatBoostClassifier.save_model(format="onnx") does: ZipMap, and no operator set but ai.onnx.ml's."""
    both = leaves("class", 0) | {
        "class_treeids": [0, 0, 0, 0, 1, 1, 1, 1],
        "class_nodeids": [1, 1, 2, 2, 1, 1, 2, 2],
        "class_ids": [0, 1] * 4,
        "class_weights": [-0.7, 0.7, 0.4, -0.4, 0.6, -0.6, -1.1, 1.1],
    }
    classes = {"classlabels_int64s": [0, 1]}
    path = save(
        folder,
        [
            _classifier("features", ["label", "probability_tensor"], **both, **classes),
            _zipmap("probability_tensor", "probabilities", **classes),
        ],
        [floats("features", "N", WIDTH)],
        [integers("label", "N"), maps("probabilities")],
    )
    model = onnx.load(path)
    model.ir_version = 3
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    path.write_bytes(model.SerializeToString())
    return path


def lightgbm_classifier(folder: Path, *, names: bool = False) -> Path:
    """Write what onnxmltools' convert_lightgbm does by default: a label of [1], missing values, and ZipMap."""
    classes: dict[str, Any] = {"classlabels_strings": ["no", "yes"]} if names else {"classlabels_int64s": [3, 5]}
    kind = TensorProto.STRING if names else TensorProto.INT64
    trees = stumps(1) | leaves("class", 0) | classes
    return save(
        folder,
        [
            _classifier("input", ["label_tensor", "probability_tensor"], **trees),
            node("Identity", ["label_tensor"], ["lgbmlabel"]),
            node("Identity", ["probability_tensor"], ["lgbmprobabilities"]),
            node("Identity", ["lgbmlabel"], ["label"]) if names else node("Cast", ["lgbmlabel"], ["label"], to=kind),
            _zipmap("lgbmprobabilities", "probabilities", **classes),
        ],
        [floats("input", None, WIDTH)],
        [helper.make_tensor_value_info("label", kind, [1]), maps("probabilities", kind)],
    )


def _classifier(name: str, outputs: Sequence[str], **trees: Any) -> NodeProto:
    attributes = stumps() | {"post_transform": "LOGISTIC"} | trees
    return node("TreeEnsembleClassifier", [name], outputs, domain="ai.onnx.ml", **attributes)


def _zipmap(name: str, output: str, **classes: Any) -> NodeProto:
    return node("ZipMap", [name], [output], domain="ai.onnx.ml", **classes)


def sequence(name: str, *shape: str | int | None) -> ValueInfoProto:
    """Return a value that is a sequence of FP32."""
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, shape)
    return helper.make_value_info(name, helper.make_sequence_type_proto(element))


def optional(name: str, *shape: str | int | None) -> ValueInfoProto:
    """Return a value that is an FP32 or nothing."""
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, shape)
    return helper.make_value_info(name, helper.make_optional_type_proto(element))
