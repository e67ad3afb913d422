"""Write MLflow's model folders, and register a model with a server: run with MLflow's own packages."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import onnx
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

MONTHS = [1.0, 40.0, np.nan, 28.0, 2.0, 60.0]
ROWS = pd.DataFrame({"months": MONTHS, "plan": ["free", "team", "free", "solo", "solo", "team"]})
LEFT = ["yes", "no", "yes", "no", "yes", "no"]


class Code(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model of Python code alone."""

    def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
        return model_input


def main(folder: Path, server: str, graph: str) -> None:
    columns = make_column_transformer((SimpleImputer(), ["months"]), (OneHotEncoder(), ["plan"]))
    model = make_pipeline(columns, LogisticRegression()).fit(ROWS, LEFT)
    options = {
        "signature": infer_signature(ROWS, model.predict(ROWS)),
        "input_example": ROWS.head(2),
        "pip_requirements": ["scikit-learn"],  # else it loads each model in a process of its own to find out
    }
    trusted = {"skops_trusted_types": ["numpy.dtype"]}
    mlflow.sklearn.save_model(model, folder / "skops", **options, **trusted)
    mlflow.sklearn.save_model(model, folder / "pickle", **options, serialization_format="cloudpickle")
    example = np.zeros((2, 30), np.float32)
    mlflow.onnx.save_model(onnx.load(graph), folder / "onnx", input_example=example, pip_requirements=["onnx"])
    mlflow.pyfunc.save_model(folder / "code", python_model=Code(), pip_requirements=["mlflow"])
    mlflow.set_tracking_uri(server)
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, name="model", registered_model_name="churn", **options, **trusted)
    mlflow.MlflowClient().set_registered_model_alias("churn", "champion", "1")


warnings.simplefilter("ignore")
main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
