"""The table of models that are published, pinned, verified and served: a row for each.

A row has a name, a function that returns a fitted estimator and 1,000 rows to ask it for, and the form of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn import (
    calibration,
    cluster,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    gaussian_process,
    impute,
    kernel_ridge,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    semi_supervised,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline

Estimator: TypeAlias = Any  # scikit-learn has no types of its own
Rows: TypeAlias = "pd.DataFrame | pd.Series[Any] | np.ndarray[Any, Any]"

COUNT = 1000
_TRAINING = 200

_RANDOM = np.random.default_rng(7)
NUMBERS = _RANDOM.normal(size=(COUNT, 5))
COUNTS = _RANDOM.poisson(3, (COUNT, 5)).astype(float)
COLOURS = np.array(["blue", "green", "red"])[np.digitize(NUMBERS[:, 0] + 0.3 * NUMBERS[:, 1], [-0.5, 0.5])]
ANSWERS = np.where(NUMBERS[:, 1] > 0, "yes", "no")
FLAGS = (NUMBERS[:, :3] > 0).astype(int)
VALUES = NUMBERS @ [1.0, -2.0, 0.5, 0.0, 3.0] + 7
PAIRS = np.c_[VALUES, VALUES**2]
TEXTS = pd.Series([" ".join(_RANDOM.choice(["hot", "cold", "wet", "dry", "windy"], 4)) for _ in range(COUNT)])
FLATS = pd.DataFrame(
    {
        "city": _RANDOM.choice(["Bath", "Ely", "Hull"], COUNT),
        "area": _RANDOM.uniform(20, 90, COUNT),
        "floor": _RANDOM.integers(0, 9, COUNT).astype(float),
        "note": TEXTS,
    }
).astype({"city": object, "note": object})


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `make` returns an estimator and rows; `form` is that of its file, `method` the option.

    `real` says that its golden samples are some of the rows, since made-up ones do not suit it.
    """

    name: str
    make: Callable[[], tuple[Estimator, Rows]]
    form: str = "pickle"
    method: str = ""
    real: bool = False


def _on(data: Rows, targets: Any = None) -> Callable[[Estimator], Callable[[], tuple[Estimator, Rows]]]:
    """Return what makes a factory of an estimator: it is fitted on the first of the rows."""

    def bind(estimator: Estimator) -> Callable[[], tuple[Estimator, Rows]]:
        def make() -> tuple[Estimator, Rows]:
            known = None if targets is None else targets[:_TRAINING]
            return estimator.fit(data[:_TRAINING], known), data

        return make

    return bind


_colours, _answers, _values = _on(NUMBERS, COLOURS), _on(NUMBERS, ANSWERS), _on(NUMBERS, VALUES)
_flags, _pairs, _alone = _on(NUMBERS, FLAGS), _on(NUMBERS, PAIRS), _on(NUMBERS)
_rents, _texts = _on(FLATS[["city", "area", "floor"]], VALUES), _on(TEXTS, ANSWERS)


def _classifiers() -> Iterator[Row]:
    logistic = linear_model.LogisticRegression
    for name, estimator in {
        "logistic regression": logistic(),
        "logistic regression with chosen C": linear_model.LogisticRegressionCV(
            Cs=2, l1_ratios=(0,), use_legacy_attributes=False
        ),
        "SGD, hinge": linear_model.SGDClassifier(random_state=0),
        "SGD, log loss": linear_model.SGDClassifier(loss="log_loss", random_state=0),
        "perceptron": linear_model.Perceptron(random_state=0),
        "ridge classifier": linear_model.RidgeClassifier(),
        "linear SVC": svm.LinearSVC(random_state=0),
        "SVC": svm.SVC(),
        "nu-SVC": svm.NuSVC(nu=0.1),
        "Gaussian naive Bayes": naive_bayes.GaussianNB(),
        "Bernoulli naive Bayes": naive_bayes.BernoulliNB(),
        "nearest neighbours": neighbors.KNeighborsClassifier(),
        "nearest centroid": neighbors.NearestCentroid(),
        "decision tree": tree.DecisionTreeClassifier(max_depth=5, random_state=0),
        "random forest": ensemble.RandomForestClassifier(10, random_state=0),
        "extra trees": ensemble.ExtraTreesClassifier(10, random_state=0),
        "gradient boosting": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
        "histogram boosting": ensemble.HistGradientBoostingClassifier(max_iter=5),
        "AdaBoost": ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
        "bagging": ensemble.BaggingClassifier(n_estimators=5, max_features=0.6, random_state=0),
        "a vote": ensemble.VotingClassifier([("a", logistic()), ("b", naive_bayes.GaussianNB())], voting="soft"),
        "a stack": ensemble.StackingClassifier([("a", logistic()), ("b", naive_bayes.GaussianNB())], cv=2),
        "neural network": neural_network.MLPClassifier((8,), max_iter=2000, random_state=0),
        "linear discriminants": discriminant_analysis.LinearDiscriminantAnalysis(),
        "quadratic discriminants": discriminant_analysis.QuadraticDiscriminantAnalysis(),
        "Gaussian process": gaussian_process.GaussianProcessClassifier(max_iter_predict=20, optimizer=None),
        "calibrated": calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=0), cv=2),
        "one against one": multiclass.OneVsOneClassifier(logistic()),
        "label spreading": semi_supervised.LabelSpreading(gamma=0.5),
        "the most frequent": dummy.DummyClassifier(),
        "a grid search": model_selection.GridSearchCV(logistic(), {"C": [0.1, 1.0]}, cv=2),
    }.items():
        yield Row(name, _colours(estimator))
    yield Row("multinomial naive Bayes of counts", _on(COUNTS, COLOURS)(naive_bayes.MultinomialNB()))
    tuned = model_selection.FixedThresholdClassifier(logistic(), threshold=0.3, response_method="predict_proba")
    yield Row("another threshold", _answers(tuned))
    yield Row("decision scores", _colours(svm.SVC()), method="decision_function")
    yield Row("probabilities alone", _answers(logistic()), method="predict_proba")


def _regressors() -> Iterator[Row]:
    for name, estimator in {
        "least squares": linear_model.LinearRegression(),
        "ridge": linear_model.Ridge(),
        "lasso": linear_model.Lasso(0.01),
        "elastic net": linear_model.ElasticNet(0.01),
        "Bayesian ridge": linear_model.BayesianRidge(),
        "Huber": linear_model.HuberRegressor(),
        "RANSAC": linear_model.RANSACRegressor(random_state=0),
        "SVR": svm.SVR(),
        "neighbouring values": neighbors.KNeighborsRegressor(algorithm="ball_tree"),
        "regression tree": tree.DecisionTreeRegressor(max_depth=5, random_state=0),
        "forest of values": ensemble.RandomForestRegressor(10, random_state=0),
        "boosted values": ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
        "boosted histograms": ensemble.HistGradientBoostingRegressor(max_iter=5),
        "network of values": neural_network.MLPRegressor(
            hidden_layer_sizes=(8,), solver="lbfgs", max_iter=2000, random_state=0
        ),
        "process of values": gaussian_process.GaussianProcessRegressor(optimizer=None),
        "kernel ridge": kernel_ridge.KernelRidge(kernel="rbf"),
        "partial least squares": cross_decomposition.PLSRegression(2),
        "scaled, selected, approximated": make_pipeline(
            preprocessing.StandardScaler(), SelectKBest(k=3), Nystroem(n_components=9, random_state=0), svm.LinearSVR()
        ),
        "logarithm of the target": TransformedTargetRegressor(
            linear_model.Ridge(), func=np.arcsinh, inverse_func=np.sinh
        ),
    }.items():
        yield Row(name, _values(estimator))
    counted = _on(NUMBERS, COUNTS[:, 0])
    yield Row("Poisson", counted(linear_model.PoissonRegressor()))


def _of_several_targets() -> Iterator[Row]:
    logistic = linear_model.LogisticRegression
    both = np.c_[ANSWERS, COLOURS]
    yield Row("a classifier for each target", _on(NUMBERS, both)(multioutput.MultiOutputClassifier(logistic())))
    yield Row("a forest of two targets", _on(NUMBERS, both)(ensemble.RandomForestClassifier(5, random_state=0)))
    yield Row("neighbours with flags", _flags(neighbors.KNeighborsClassifier()), form="joblib")
    yield Row("a network of flags", _flags(neural_network.MLPClassifier((8,), max_iter=3000, random_state=0)))
    yield Row("one against the rest, flags", _flags(multiclass.OneVsRestClassifier(logistic())), form="skops")
    yield Row("a chain of flags", _flags(multioutput.ClassifierChain(logistic(), random_state=0)))
    yield Row("a regressor for each target", _pairs(multioutput.MultiOutputRegressor(linear_model.Ridge())))
    yield Row("a chain of values", _pairs(multioutput.RegressorChain(linear_model.Ridge(), random_state=0)))
    yield Row("least squares of two targets", _pairs(linear_model.LinearRegression()))


def _without_targets() -> Iterator[Row]:
    for name, estimator, methods in (
        ("k-means", cluster.KMeans(3, n_init=1, random_state=0), ("", "transform")),
        ("a mixture", mixture.GaussianMixture(3, random_state=0), ("predict_proba", "score_samples")),
        ("isolation forest", ensemble.IsolationForest(n_estimators=9, random_state=0), ("", "score_samples")),
        ("local outliers", neighbors.LocalOutlierFactor(novelty=True), ("", "decision_function")),
        ("one-class SVM", svm.OneClassSVM(), ("",)),
        ("elliptic envelope", covariance.EllipticEnvelope(random_state=0), ("",)),
        ("principal components", decomposition.PCA(2), ("transform",)),
        ("a scaler", preprocessing.StandardScaler(), ("transform",)),
        ("bins", preprocessing.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ("transform",)),
        ("polynomials", preprocessing.PolynomialFeatures(2), ("transform",)),
    ):
        for method in methods:
            yield Row(f"{name} {method}".strip(), _alone(estimator), method=method)
    yield Row("a vectorizer", _on(TEXTS)(TfidfVectorizer()), method="transform")


def _pipelines() -> Iterator[Row]:
    one_hot, ordinal = preprocessing.OneHotEncoder(handle_unknown="ignore"), preprocessing.OrdinalEncoder()
    ridge, logistic = linear_model.Ridge, linear_model.LogisticRegression
    scaled = (preprocessing.StandardScaler(), ["area", "floor"])
    for form in ("pickle", "joblib", "joblib lz4", "joblib xz", "skops", "protocol 0", "protocol 1", "protocol 2"):
        columns = make_column_transformer((one_hot, ["city"]), scaled)
        yield Row(f"one-hot columns, {form}", _rents(make_pipeline(columns, ridge())), form=form)
    columns = make_column_transformer((ordinal, ["city"]), remainder="passthrough")
    forest = ensemble.RandomForestRegressor(5, random_state=0)
    yield Row("ordinal columns", _rents(make_pipeline(columns, forest)))
    encoder = preprocessing.TargetEncoder(target_type="continuous", random_state=0)
    columns = make_column_transformer((encoder, ["city"]), scaled)
    yield Row("encoded by the target", _rents(make_pipeline(columns, ridge())))
    columns = make_column_transformer(
        (one_hot, make_column_selector(dtype_include=object)),
        (scaled[0], make_column_selector(dtype_include=np.number)),
    )
    yield Row("columns selected by type", _rents(make_pipeline(columns, ridge())))
    logarithms = (preprocessing.FunctionTransformer(np.log1p), ["area", "floor"])
    columns = make_column_transformer((one_hot, ["city"]), logarithms)
    yield Row("logarithms", _rents(make_pipeline(columns, ridge())), real=True)
    columns = ColumnTransformer(
        [("t", TfidfVectorizer(), "note"), ("n", scaled[0], ["area"]), ("o", one_hot, ["city"])]
    )
    yield Row("texts beside numbers", _on(FLATS, ANSWERS)(make_pipeline(columns, logistic())))
    yield Row("texts", _texts(make_pipeline(TfidfVectorizer(), logistic())))
    yield Row("hashed texts", _texts(make_pipeline(HashingVectorizer(n_features=64), logistic())), form="skops")


def _with_missing_values() -> Iterator[Row]:
    ridge, forest = linear_model.Ridge, ensemble.RandomForestRegressor
    gaps = NUMBERS.copy()
    gaps[_RANDOM.random(gaps.shape) < 0.1] = np.nan
    for name, estimator in {
        "imputed": make_pipeline(impute.SimpleImputer(), ridge()),
        "imputed with indicators": make_pipeline(impute.SimpleImputer(add_indicator=True), ridge()),
        "imputed by neighbours": make_pipeline(impute.KNNImputer(), ridge()),
        "scaled, then imputed": make_pipeline(preprocessing.StandardScaler(), impute.SimpleImputer(), svm.SVR()),
        "histogram boosting with gaps": ensemble.HistGradientBoostingRegressor(max_iter=5),
        "a forest with gaps": forest(5, random_state=0),
        "a bag of trees with gaps": ensemble.BaggingRegressor(tree.DecisionTreeRegressor(), 3, random_state=0),
    }.items():
        yield Row(name, _on(gaps, VALUES)(estimator))
    yield Row("an imputer", _on(gaps)(impute.SimpleImputer()), method="transform")
    flats = FLATS[["city", "area", "floor"]].assign(new=NUMBERS[:, 0] > 0)
    flats = flats.assign(city=flats["city"].mask(NUMBERS[:, 1] > 1), area=flats["area"].mask(NUMBERS[:, 2] > 1))
    most = make_pipeline(impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder())
    numbers = make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    one_hot, ordinal = preprocessing.OneHotEncoder(handle_unknown="ignore"), preprocessing.OrdinalEncoder()
    for name, steps, model in (
        ("strings and numbers imputed", [(most, ["city"]), (numbers, ["area", "floor"])], ridge()),
        ("a missing string as a category", [(one_hot, ["city", "new"]), (numbers, ["area"])], ridge()),
        (
            "missing categories in boosting",
            [(ordinal, ["city"]), ("passthrough", ["area", "floor"])],
            ensemble.HistGradientBoostingRegressor(max_iter=5, categorical_features=[0]),
        ),
    ):
        yield Row(name, _on(flats, VALUES)(make_pipeline(make_column_transformer(*steps), model)), real=True)
    categories = flats.drop(columns="new").astype({"city": "category"})
    boosting = ensemble.HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype")
    yield Row("categories of a frame with gaps", _on(categories, VALUES)(boosting))


ROWS = [
    *_classifiers(),
    *_regressors(),
    *_of_several_targets(),
    *_without_targets(),
    *_pipelines(),
    *_with_missing_values(),
]
