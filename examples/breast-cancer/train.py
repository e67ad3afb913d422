"""Trains the sample model; writes it in the three forms that Pilotlight serves, its signature and golden samples.

python examples/breast-cancer/train.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import skl2onnx
import skops.io
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from pilotlight_cli.registry.json_document import to_bytes

SEED = 0

# ONNX sums the trees' answers as 32-bit floats, in an order that depends on the batch. Fully grown trees answer 0 or 1,
# and their mean over a power of two is exact in any order: ONNX gives the very numbers that scikit-learn gives.
TREES = 64

# Older than what the converter could write, so that older releases of ONNX Runtime read it too.
OPSETS = {"": 18, "ai.onnx.ml": 3}


def load() -> tuple[pd.DataFrame, NDArray[np.str_]]:
    """Return the 569 rows with their 30 named columns, and the class of each as a word."""
    data = load_breast_cancer(as_frame=True)
    return data.data, data.target_names[data.target]


def split(rows: pd.DataFrame, classes: NDArray[np.str_]) -> list[Any]:
    """Rows to learn from, rows held out, and the classes of both: three quarters and one."""
    return train_test_split(rows, classes, test_size=0.25, stratify=classes, random_state=SEED)  # type: ignore[no-any-return]


def train(rows: pd.DataFrame, classes: NDArray[np.str_]) -> Pipeline:
    """Return the fitted pipeline. Trees need no scaler, and scaling in 32 bits could carry a value over a threshold."""
    forest = RandomForestClassifier(n_estimators=TREES, max_features=0.3, random_state=SEED)
    return Pipeline([("forest", forest)]).fit(rows, classes)


def to_onnx(pipeline: Pipeline) -> onnx.ModelProto:
    """Return the pipeline as ONNX: one matrix in, a label and a plain tensor of probabilities out."""
    names = list(pipeline.feature_names_in_)
    model: onnx.ModelProto = skl2onnx.convert_sklearn(
        pipeline,
        name="breast-cancer",
        initial_types=[("features", FloatTensorType([None, len(names)]))],
        options={"zipmap": False},
        target_opset=OPSETS,
    )
    # ONNX has no place of its own for the columns' names and for the classes in the order of their probabilities.
    metadata = {"pilotlight.feature_names": json.dumps(names), "pilotlight.labels": json.dumps(list(pipeline.classes_))}
    onnx.helper.set_model_props(model, metadata)
    return model


def signature(pipeline: Pipeline) -> dict[str, Any]:
    """Return the file for `pilotlight publish --signature`: names, datatypes, shapes, and the role of each tensor."""
    names, labels = list(pipeline.feature_names_in_), list(pipeline.classes_)
    features = {"name": "features", "datatype": "FP32", "shape": [-1, len(names)], "role": "features"}
    probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(labels)], "role": "probabilities"}
    return {
        "inputs": [features | {"feature_names": names}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1], "role": "label"},
            probabilities | {"range": [0, 1]},
        ],
        "labels": labels,
    }


def golden(pipeline: Pipeline, held_out: pd.DataFrame) -> dict[str, Any]:
    """Held-out rows one by one and as a batch, with scikit-learn's own answers.

    They are two of which the model is nearly sure, the malignant one first, and the two that leave it most in doubt.
    """
    malignant = pipeline.predict_proba(held_out)[:, 1]
    doubt = np.abs(malignant - 0.5)
    doubt[doubt == 0] = 1  # a tie is no fair question: either label would do
    nearly = [np.argmax((malignant > 0.9) & (malignant < 1)), np.argmax((malignant < 0.1) & (malignant > 0))]
    picks = [*nearly, *np.argsort(doubt, kind="stable")[:2]]
    batches = [held_out.iloc[[pick]] for pick in picks] + [held_out.iloc[picks]]
    return {
        "format": 1,
        "source": "given",
        "tolerance": {"absolute": 1e-5, "relative": 0.0},
        "samples": [
            {
                "inputs": [_values("features", "FP32", rows.to_numpy())],
                "outputs": [
                    _values("label", "BYTES", pipeline.predict(rows)),
                    _values("probabilities", "FP32", pipeline.predict_proba(rows)),
                ],
            }
            for rows in batches
        ],
    }


def _values(name: str, datatype: str, values: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def largest_difference(model: onnx.ModelProto, pipeline: Pipeline, rows: pd.DataFrame) -> float:
    """How far the ONNX form's probabilities ever are from scikit-learn's."""
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"  # read once, at the import
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(model.SerializeToString())
    (probabilities,) = session.run(["probabilities"], {"features": rows.to_numpy(np.float32)})
    return float(np.abs(probabilities - pipeline.predict_proba(rows)).max())


def write(out: Path, pipeline: Pipeline, model: onnx.ModelProto, held_out: pd.DataFrame) -> list[Path]:
    """Write the five files. Only the skops form, which holds times and memory addresses, has other bytes each time."""
    out.mkdir(parents=True, exist_ok=True)
    files = [out / name for name in ("model.onnx", "model.pkl", "model.skops", "signature.json", "golden.json")]
    files[0].write_bytes(model.SerializeToString(deterministic=True))
    files[1].write_bytes(pickle.dumps(pipeline, protocol=5))
    skops.io.dump(pipeline, files[2], compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    for file, document in zip(files[3:], (signature(pipeline), golden(pipeline, held_out)), strict=True):
        file.write_bytes(to_bytes(document))
    return files


def main() -> None:
    """Train, write, and print how good and how large the model is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to write (default: beside this)")
    out = parser.parse_args().out
    rows, classes = load()
    learn, held_out, learn_classes, held_out_classes = split(rows, classes)
    pipeline = train(learn, learn_classes)
    model = to_onnx(pipeline)
    for file in write(out, pipeline, model, held_out):
        print(f"{file.name:<15} {file.stat().st_size:>8,} bytes")
    print(f"held-out accuracy: {pipeline.score(held_out, held_out_classes):.4f} on {len(held_out)} of {len(rows)} rows")
    print(f"largest difference of ONNX from scikit-learn: {largest_difference(model, pipeline, rows):.1e}")


if __name__ == "__main__":
    main()
