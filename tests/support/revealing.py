"""Models of admitted classes that answer with the memory at an address, where that address is believed."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import joblib
import numpy as np
import skops.io
from sklearn.dummy import DummyRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from sklearn.utils import Bunch

CANARY = np.array([[1234.5678]])
_ADDRESS = {"version": 3, "shape": (1, 1), "typestr": "<f8", "data": (CANARY.ctypes.data, True)}
_HOLDERS: dict[str, Any] = {
    "an estimator's attribute": Ridge(),
    "an attribute of a class with a state of its own": IsotonicRegression(),
    "an attribute of a plain object": AdamOptimizer([]),
    "an item of a Bunch": Bunch(),
}
HOLDERS = tuple(_HOLDERS)


def model(holder: str) -> DummyRegressor:
    """Return a model that answers with the canary's value, and holds only its address."""
    estimator = DummyRegressor(strategy="constant", constant=0.0).fit([[0.0] * 3], [0.0])
    estimator.constant_ = _HOLDERS[holder]
    estimator.constant_.__array_interface__ = _ADDRESS
    return estimator


def files(holder: str) -> dict[str, bytes]:
    """Return the model's file in each format."""
    dumped = BytesIO()
    joblib.dump(model(holder), dumped)
    return {
        "pickle": pickle.dumps(model(holder), 5),
        "skops": skops.io.dumps(model(holder)),
        "joblib": dumped.getvalue(),
    }


def distance(one: Any, other: Any) -> float:
    """Return a plain distance, as a function of the training script."""
    return float(np.abs(one - other).sum())
