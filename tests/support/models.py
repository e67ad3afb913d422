"""Models to test with: the committed sample, and others that are trained while the tests run.

Rows are drawn so that an answer has one right value: every number is exact in 32 bits, and a row whose label hangs by a
thread is left out. The libraries that train and convert are imported by the functions that do: who wants plain tensors
alone waits for none of them.
"""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from repository import SAMPLE

if TYPE_CHECKING:
    import onnx
    import pandas as pd

Estimator: TypeAlias = Any  # scikit-learn has no types of its own
Rows: TypeAlias = "pd.DataFrame | NDArray[np.float64]"

OPSETS = {"": 18, "ai.onnx.ml": 3}
CITIES = ("Aberdeen", "Bristol", "Cardiff", "Derby")
COLUMNS = ("city", "rooms", "area", "floor")


@dataclass(frozen=True, slots=True)
class Answers:
    """Instances as JSON holds them, and scikit-learn's own answers; `probabilities` is empty for a regressor."""

    instances: list[Any]
    predictions: list[Any]
    probabilities: list[list[float]]


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted pipeline and its files by format: onnx, skops, pickle, and joblib for those that are trained here."""

    pipeline: Estimator
    files: Mapping[str, Path]
    _draw: Callable[[np.random.Generator, int], Rows]

    def draw(self, count: int, seed: int) -> Answers:
        """`count` random rows, others for each seed, with scikit-learn's answers to them."""
        rows = _sure(self.pipeline, self._draw(np.random.default_rng(seed), 2 * count + 20))[:count]
        assert len(rows) == count, f"only {len(rows)} of the drawn rows have a clear answer"
        return answers(self.pipeline, rows)

    def answers_to(self, instances: list[Any]) -> Answers:
        """scikit-learn's answers to given instances, such as another model's rows."""
        import pandas as pd

        rows = pd.DataFrame(instances) if isinstance(instances[0], dict) else np.array(instances)
        return answers(self.pipeline, rows)


def new_seed() -> int:
    """Draw a seed and print it, so that a failing test shows it."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    return seed


def answers(pipeline: Estimator, rows: Rows) -> Answers:
    """Return scikit-learn's own answers to `rows`."""
    return Answers(
        instances=rows.tolist() if isinstance(rows, np.ndarray) else rows.to_dict("records"),
        predictions=pipeline.predict(rows).tolist(),
        probabilities=pipeline.predict_proba(rows).tolist() if hasattr(pipeline, "predict_proba") else [],
    )


def sample() -> Trained:
    """Load the committed sample: 30 named columns in one matrix, two classes; rows lie between the data's extremes."""
    import pandas as pd
    from sklearn.datasets import load_breast_cancer

    files = {"onnx": SAMPLE / "model.onnx", "skops": SAMPLE / "model.skops", "pickle": SAMPLE / "model.pkl"}
    data = load_breast_cancer(as_frame=True).data

    def draw(random: np.random.Generator, count: int) -> pd.DataFrame:
        mixed = random.integers(0, len(data), (count, data.shape[1]))
        real = np.take_along_axis(data.to_numpy(), mixed, axis=0)
        anywhere = random.uniform(data.min(), data.max(), real.shape)
        rows = np.where(random.random((count, 1)) < 0.5, real, anywhere)
        return pd.DataFrame(_exact(rows), columns=data.columns)

    return Trained(pickle.loads(files["pickle"].read_bytes()), files, draw)


def rents(folder: Path, seed: int = 0) -> Trained:
    """Train a regression on columns of strings and numbers, the rent of a flat. In ONNX each column is an input."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(seed)
    flats = _flats(random, 400, CITIES)
    rent = 9 * flats["area"] + 60 * flats["rooms"] + 8 * flats["floor"] + 150 * flats["city"].map(CITIES.index) + 200
    columns = ColumnTransformer(
        [
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("size", StandardScaler(), ["rooms", "area"]),
            ("floor", "passthrough", ["floor"]),
        ]
    )
    pipeline = Pipeline([("columns", columns), ("rent", Ridge())]).fit(flats, rent + random.normal(0, 40, len(rent)))
    inputs = [(name, (StringTensorType if name == "city" else FloatTensorType)([None, 1])) for name in COLUMNS]
    return Trained(
        pipeline, _write(folder, "rents", pipeline, inputs), lambda r, n: _flats(r, n, (*CITIES, "Elsewhere"))
    )


def three_classes(folder: Path, seed: int = 0) -> Trained:
    """Train a classifier of four columns without names into the integers 1, 2 and 3."""
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    classes = random.integers(1, 4, 300)
    points = _exact(random.normal(0, 1, (300, 4)) + classes[:, None] * [1.5, -1, 0.5, 0])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(points, classes)
    files = _write(folder, "three-classes", pipeline, [("features", FloatTensorType([None, 4]))])
    return Trained(pipeline, files, lambda r, n: _exact(r.normal(0, 3, (n, 4))))


def plain_tensors(folder: Path) -> Path:
    """Write an ONNX file of plain tensors: `signal` [N, 2, 3] gives `doubled` [N, 2, 3], `sums` [N, 2], all FP32."""
    import onnx

    def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Add", ["signal", "signal"], ["doubled"]),
            onnx.helper.make_node("ReduceSum", ["signal", "last"], ["sums"], keepdims=0),
        ],
        "plain-tensors",
        [tensor("signal", "N", 2, 3)],
        [tensor("doubled", "N", 2, 3), tensor("sums", "N", 2)],
        [onnx.helper.make_tensor("last", onnx.TensorProto.INT64, [1], [-1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSETS[""])], ir_version=8)
    onnx.checker.check_model(model)
    file = folder / "plain-tensors.onnx"
    file.write_bytes(model.SerializeToString(deterministic=True))
    return file


def plain_answers(instances: list[Any]) -> dict[str, list[Any]]:
    """Return each output's nested values of `plain_tensors` for instances of shape [2, 3]."""
    signal = np.array(instances, np.float32)
    return {"doubled": (signal + signal).tolist(), "sums": signal.sum(axis=2).tolist()}


def run_onnx(file: Path, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All outputs of an ONNX file, straight from ONNX Runtime."""
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"  # read once, at the import
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def _write(folder: Path, name: str, pipeline: Estimator, inputs: list[tuple[str, Any]]) -> dict[str, Path]:
    import joblib
    import skl2onnx
    import skops.io

    options = {"zipmap": False} if hasattr(pipeline, "classes_") else None
    model = skl2onnx.convert_sklearn(pipeline, name=name, initial_types=inputs, options=options, target_opset=OPSETS)
    endings = {"onnx": "onnx", "skops": "skops", "pickle": "pkl", "joblib": "joblib"}
    files = {form: folder / f"{name}.{ending}" for form, ending in endings.items()}
    files["onnx"].write_bytes(model.SerializeToString(deterministic=True))
    files["pickle"].write_bytes(pickle.dumps(pipeline, protocol=5))
    skops.io.dump(pipeline, files["skops"])
    joblib.dump(pipeline, files["joblib"])
    return files


def _flats(random: np.random.Generator, count: int, cities: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    rooms = random.integers(1, 6, count).astype(float)
    return pd.DataFrame(
        {
            "city": random.choice(cities, count),
            "rooms": rooms,
            "area": _exact(12 + 20 * rooms + random.uniform(0, 30, count)),
            "floor": random.integers(0, 13, count).astype(float),
        }
    )


def _sure(pipeline: Estimator, rows: Rows) -> Rows:
    """Return the rows whose best label leads the next by more than rounding could take away."""
    if not hasattr(pipeline, "predict_proba"):
        return rows
    ranked = np.sort(pipeline.predict_proba(rows), axis=1)
    return rows[ranked[:, -1] - ranked[:, -2] > 1e-3]


def _exact(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round values to what 32 bits hold, as 64-bit floats, so that both types read the same numbers."""
    return values.astype(np.float32).astype(np.float64)
