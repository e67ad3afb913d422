"""Fits every estimator of the installed scikit-learn and prints the names that their pickles import, as a JSON list.

tools/admitted_globals.py runs this in isolated environments with different versions.
"""

from __future__ import annotations

import inspect
import json
import pickle
import sys
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special
from sklearn import feature_selection, gaussian_process, metrics, model_selection
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.discovery import all_estimators

from pilotlight.pickles import soundness
from pilotlight.pickles.forbidden import forbidden
from pilotlight.pickles.loading import loads, scan
from pilotlight.runtimes.estimators import walk

RANDOM = np.random.RandomState(0)
ROWS = 60
NUMBERS = RANDOM.rand(ROWS, 4)
CLASSES = np.tile([0, 1], ROWS // 2)
VALUES = 1 + NUMBERS @ [1.0, 2.0, 3.0, 4.0]
TEXTS = ["hot day", "cold night", "hot night", "cold cold day"] * (ROWS // 4)
FRAME = pd.DataFrame(NUMBERS, columns=["a", "b", "c", "d"]).assign(
    city=RANDOM.choice(["x", "y", "z"], ROWS), text=TEXTS, kind=pd.Categorical(RANDOM.choice(["k", "l"], ROWS))
)
# Training data: every estimator accepts some of it.
DATA: tuple[tuple[Any, ...], ...] = (
    (NUMBERS, CLASSES),
    (NUMBERS, VALUES),
    (NUMBERS, np.c_[VALUES, -VALUES]),
    (NUMBERS, np.c_[CLASSES, 1 - CLASSES]),
    (NUMBERS, np.arange(ROWS) % 3),
    (NUMBERS, np.array(["no", "yes", "so"])[np.arange(ROWS) % 3]),
    (FRAME[["a", "b"]], CLASSES),
    (TEXTS,),
    (TEXTS, CLASSES),
    ([{"a": 1.0, "b": 2}, {"a": 2.0}] * 5,),
    (NUMBERS[:, 0], VALUES),
    (VALUES,),
    (NUMBERS,),
    ([[1, 2], [3]],),
    (CLASSES,),
)
WIDE = (RANDOM.rand(4, 2000),)


def estimators() -> Iterator[Any]:
    """Yield every estimator, unfitted."""
    for name, kind in all_estimators():
        wanted = {
            parameter.name
            for parameter in inspect.signature(kind.__init__).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        classifies = any(word in name for word in ("Classifier", "Threshold", "Training"))
        member = LogisticRegression() if classifies else Ridge()
        other = DecisionTreeClassifier() if classifies else Ridge(2.0)
        given = {
            "estimator": member,
            "base_estimator": member,
            "estimators": [("a", member), ("b", other)],
            "transformers": [("p", "passthrough", [0, 1]), ("s", StandardScaler(), [2])],
            "transformer_list": [("s", StandardScaler())],
            "steps": [("s", StandardScaler()), ("r", member)],
            "param_grid": {"alpha": [0.1, 1.0]},
            "param_distributions": {"alpha": [0.1, 1.0]},
            "dictionary": RANDOM.rand(3, 4),
        }
        optional = set(inspect.signature(kind.__init__).parameters) & {"estimator"} if "Training" in name else set()
        yield kind(**{parameter: given[parameter] for parameter in (wanted | optional) - {"self"}})


def variants() -> Iterator[tuple[Any, ...]]:
    """Yield estimators with options that add fitted state, and their data."""
    for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile"):
        yield HistGradientBoostingRegressor(loss=loss, quantile=0.5, max_iter=3), NUMBERS, VALUES
    yield HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=3), FRAME[["a", "kind"]], CLASSES
    yield HistGradientBoostingClassifier(early_stopping=True, max_iter=3), NUMBERS, FRAME["city"]
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield GradientBoostingRegressor(loss=loss, n_estimators=3, init=Ridge()), NUMBERS, VALUES
    for loss in ("log_loss", "exponential"):
        yield GradientBoostingClassifier(loss=loss, n_estimators=3), NUMBERS, CLASSES
    for loss in ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"):
        yield SGDClassifier(loss=loss), NUMBERS, CLASSES
    for loss in ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"):
        yield SGDRegressor(loss=loss), NUMBERS, VALUES
    yield MLPRegressor(solver="sgd", max_iter=3), NUMBERS, VALUES
    yield RandomForestClassifier(3, random_state=np.random.RandomState(1)), NUMBERS, FRAME["city"]
    for algorithm in ("ball_tree", "kd_tree", "brute"):
        yield KNeighborsClassifier(algorithm=algorithm, p=3), NUMBERS, CLASSES
        yield KNeighborsClassifier(algorithm=algorithm), NUMBERS.astype("f4"), CLASSES
    yield KNNImputer(), NUMBERS
    yield TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), NUMBERS, VALUES
    columns = [
        ("c", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(min_frequency=2)), ["city"]),
        ("o", OrdinalEncoder(), ["kind"]),
        ("n", make_union(StandardScaler(), KBinsDiscretizer(3, encode="ordinal")), slice("a", "b")),
    ]
    selected = [
        ("n", StandardScaler(), make_column_selector(dtype_include=np.number)),
        ("c", OneHotEncoder(), make_column_selector("c", dtype_include=[object, bool, "category"], dtype_exclude=int)),
    ]
    yield ColumnTransformer(selected), FRAME[["a", "b", "kind"]]
    for remainder in ("drop", FunctionTransformer(np.sqrt)):
        yield (
            make_pipeline(ColumnTransformer(columns, remainder=remainder), Ridge()),
            FRAME.drop(columns="text"),
            VALUES,
        )


def objects() -> Iterator[Any]:
    """Yield objects of numpy, scipy and Python that occur in fitted state."""
    letters = "?bBhHiIlLqQefdgFDSUO"
    yield [np.zeros((2, 2), letter) for letter in letters] + [
        np.zeros(2, letter)[0] for letter in letters if letter != "O"
    ]
    yield [np.dtype(letter) for letter in letters] + [np.dtype(letter).type for letter in letters]
    yield [np.array(["2026-01-01"], "M8[D]"), np.zeros(2, "m8[s]"), np.asfortranarray(np.zeros((2, 3)))[:, ::2]]
    yield [np.ma.masked_array([1.0, 2.0], [True, False]), np.matrix([[1.0]]), np.zeros(2, [("a", "f8"), ("b", "i4")])]
    for generator in (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64):
        yield [np.random.Generator(generator(1)), np.random.RandomState(generator(1)), generator(1)]
    for form in ("bsr", "coo", "csc", "csr", "dia", "lil"):
        yield [getattr(scipy.sparse, f"{form}_{kind}")(np.eye(3)) for kind in ("matrix", "array")]
    yield [
        OrderedDict(a=1),
        Counter("a"),
        defaultdict(int),
        defaultdict(list),
        {1},
        frozenset([2]),
        slice(1, 2),
        range(3),
    ]
    yield [bool, int, float, str, object, complex, 1 + 2j, bytes, list, dict, tuple, set]


def functions() -> Iterator[Any]:
    """Yield functions in fitted state: numpy's of a FunctionTransformer, scores of selections and searches."""
    for module in (np, scipy.special):
        for name in dir(module):
            if not forbidden(f"{module.__name__}.{name}") and callable(getattr(module, name)):
                yield getattr(module, name)
    for name in ("chi2", "f_classif", "f_regression", "f_oneway", "mutual_info_classif", "mutual_info_regression"):
        yield getattr(feature_selection, name, None) or getattr(feature_selection._univariate_selection, name)  # noqa: SLF001
    yield feature_selection.r_regression
    for name in metrics.get_scorer_names():
        yield metrics.get_scorer(name)


def classes() -> Iterator[type]:
    """Yield classes of families of which fitting covers only some: kernels, distances, losses, splitters."""
    for module in (gaussian_process.kernels, model_selection, model_selection._split):  # noqa: SLF001
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and kind.__module__.startswith("sklearn.")
                and not issubclass(kind, BaseEstimator)
            ):
                yield kind
    waiting: list[type] = [DistanceMetric]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        yield kind


def fitted() -> Iterator[Any]:
    """Yield every estimator, unfitted and fitted on all data it accepts, and every variant."""
    for estimator in estimators():
        yield estimator
        fits = 0
        for data in (*DATA, WIDE):
            if data is WIDE and fits:
                continue
            try:
                yield estimator.fit(*data)
            except Exception as error:  # noqa: BLE001 - each estimator raises its own errors
                refusal = error
            else:
                fits += 1
        if not fits:
            print(f"{estimator} accepts none of the data: {refusal}", file=sys.stderr)
    for estimator, *given in variants():
        yield estimator.fit(*given)


def main() -> None:
    """Print the names."""
    warnings.simplefilter("ignore")
    names: set[str] = set()
    for item in chain(fitted(), objects(), functions(), classes()):
        soundness.check(walk(item))
        for protocol in (3, 4, 5):
            try:
                content = pickle.dumps(item, protocol)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                print(f"{item!r:.80} cannot be pickled: {error}", file=sys.stderr)
                continue
            imported = scan(content)
            if not any(map(forbidden, imported)):
                loads(content, imported)  # the loader must accept what the list allows
            names.update(imported)
    json.dump(sorted(names), sys.stdout)


if __name__ == "__main__":
    main()
