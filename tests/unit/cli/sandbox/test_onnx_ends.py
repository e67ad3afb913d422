"""What publish makes of the ends of ONNX graphs: a table of graphs, with the signature and the notes of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import IsolationForest, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import converters as made
import models
from converters import CLASSES, WORDS, constant, floats, integers, node, optional, save, sequence
from pilotlight.codec.encode import check_outputs
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.golden import to_tensor
from pilotlight.model.signature import Signature, write_signature
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx import inspect
from pilotlight_cli.sandbox.job import Findings, Job

Make = Callable[[Path], Path]


def inspected(path: Path, **changes: Any) -> Findings:
    found = recognise(path)
    job = Job(path, "onnx", frozenset(), path.parent, labels=found.labels, vocabulary=found.vocabulary)
    return inspect(replace(job, repairs=found.repairs, **changes))


def ends(signature: Signature) -> str:
    """Return a signature in a line: `X[any,4] features -> label[any] label (0, 10)`."""

    def shown(tensor: Any) -> str:
        shape = ",".join("any" if length == -1 else str(length) for length in tensor.shape)
        missing = " missing" if getattr(tensor, "missing", False) else ""
        return f"{tensor.name}[{shape}] {tensor.role}{missing}"

    labels = f" {signature.labels}" if signature.labels else ""
    return f"{'; '.join(map(shown, signature.inputs))} -> {'; '.join(map(shown, signature.outputs))}{labels}"


def of_sklearn(estimator: Any, classes: Any = made.TENS, shape: Any = made.WIDTH, **options: Any) -> Make:
    return lambda folder: made.sklearn(folder, estimator, classes, shape, **options)


def named(make: Make, labels: list[Any]) -> Make:
    return lambda folder: made.with_metadata(make(folder), {"pilotlight.labels": json.dumps(labels)})


def softmax(folder: Path) -> Path:
    return save(folder, [node("Softmax", ["x"], ["p"])], [floats("x", "N", 3)], [floats("p", "N", 3)])


def argmax(folder: Path, *, bias: float = 0.0, hidden: bool = False) -> Path:
    """Write a softmax with its label, whose class is hidden from those that follow nodes; `bias` favours the first."""
    outside = [node("Mul", ["best", "one"], ["label"])] if hidden else [node("Identity", ["best"], ["label"])]
    nodes = [
        node("Add", ["x", "bias"], ["sums"]),
        node("Softmax", ["sums"], ["probabilities"]),
        node("ArgMax", ["sums"], ["best"], axis=1, keepdims=0),
        *outside,
    ]
    constants = [constant("bias", np.array([bias, 0, 0], np.float32)), constant("one", np.int64(1))]
    return save(
        folder, nodes, [floats("x", "N", 3)], [integers("label", "N"), floats("probabilities", "N", 3)], constants
    )


def binary(folder: Path, *shape: Any, label: str = "label", score: str = "score") -> Path:
    """Write a binary classifier of a label and a single score of each row."""
    nodes = [
        node("ReduceSum", ["x", "one"], ["sum"]),
        node("Squeeze", ["sum", "one"], ["flat"]),
        node("Sigmoid", ["sum" if len(shape) == 2 else "flat"], [score]),
        node("Greater", ["flat", "zero"], ["positive"]),
        node("Cast", ["positive"], [label], to=TensorProto.INT64),
    ]
    constants = [constant("one", np.array([1])), constant("zero", np.float32(0))]
    return save(folder, nodes, [floats("x", "N", 4)], [integers(label, "N"), floats(score, *shape)], constants)


def summed(folder: Path, *outputs: str) -> Path:
    """Write a model of the sum of all its input (`total`, of no shape), of its rows, and of its columns."""
    nodes = [
        node("ReduceSum", ["x"], ["total"], keepdims=0),
        node("ReduceSum", ["x", "one"], ["rows"], keepdims=1),
        node("ReduceSum", ["x", "zero"], ["columns"], keepdims=0),
    ]
    declared = {"total": floats("total"), "rows": floats("rows", "N"), "columns": floats("columns", "N")}
    constants = [constant("one", np.array([1])), constant("zero", np.array([0]))]
    return save(folder, nodes, [floats("x", "N", 4)], [declared[name] for name in outputs], constants)


def forest(folder: Path) -> Path:
    """Write trees that read the third column of a matrix whose width is nowhere."""
    path = made.catboost_regressor(folder)
    return save(
        folder,
        list(onnx.load(path).graph.node),
        [floats("features", None, None)],
        [floats("predictions", None, 1)],
    )


def imputed(*operators: str) -> Make:
    """Make a model of an Imputer of NaN, and of other readers of its input."""
    return lambda folder: save(
        folder,
        [
            node("Identity", ["x"], ["same"]),
            node(
                "Imputer",
                ["same"],
                ["filled"],
                domain="ai.onnx.ml",
                imputed_value_floats=[1.0, 2.0],
                replaced_value_float=float("nan"),
            ),
            *(node(operator, ["same"], [f"y{i}"]) for i, operator in enumerate(operators)),
        ],
        [floats("x", None, 2)],
        [floats("filled", None, 2), *(floats(f"y{i}", None, 2) for i in range(len(operators)))],
    )


def words(*nodes: Any) -> Make:
    """Make a model that looks up normalised words."""
    table: dict[str, Any] = {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0]}
    return lambda folder: save(
        folder,
        [*nodes, node("LabelEncoder", ["z"], ["y"], domain="ai.onnx.ml", **table)],
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["N"])],
        [floats("y", "N")],
    )


def of_rows(*nodes: Any, ends: Any, shape: tuple[Any, ...] = ("N", 4), **constants: Any) -> Make:
    """Make a model of one input `x` with those outputs."""
    made_of = [constant(name, np.array(value)) for name, value in constants.items()]
    return lambda folder: save(folder, nodes, [floats("x", *shape)], ends, made_of)


def filled(asked: str, *chosen: str) -> Make:
    """Make a model that chooses where a number is missing."""
    return of_rows(
        node("IsNaN", [asked], ["missing"]),
        node("Where", ["missing", *chosen], ["y"]),
        ends=[floats("y", "N", 2)],
        shape=("N", 2),
        filler=np.ones(2, np.float32),
    )


SPLIT = partial(node, "SplitToSequence")
SCORES = "not between 0 and 1 with a sum of 1 in each row"
LABELLED = f"X[any,4] features -> label[any] label; probabilities[any,3] probabilities {CLASSES}"
SCORED = f"X[any,4] features -> label[any] label; probabilities[any,3] tensor {CLASSES}"
PLAIN = {"zipmap": False}
NAMES = ("no", "perhaps", "yes")

PUBLISHED: dict[str, tuple[Make, str, str]] = {
    "SVC": (of_sklearn(SVC(), **PLAIN), SCORED, SCORES),
    "LinearSVC": (of_sklearn(LinearSVC()), SCORED, SCORES),
    "SGD": (of_sklearn(SGDClassifier(), **PLAIN), SCORED, SCORES),
    "Perceptron": (of_sklearn(Perceptron(), **PLAIN), SCORED, SCORES),
    "Ridge": (of_sklearn(RidgeClassifier(), **PLAIN), SCORED, SCORES),
    "raw scores": (of_sklearn(LogisticRegression(), raw_scores=True, **PLAIN), SCORED, SCORES),
    "a column of scores": (
        lambda folder: binary(folder, "N", 1),
        "x[any,4] features -> label[any] label; score[any,1] tensor",
        "assuming that the output 'label' is the label",
    ),
    "a vector of probabilities": (
        lambda folder: binary(folder, "N", label="output_1", score="probability"),
        "x[any,4] features -> output_1[any] label; probability[any] tensor",
        "assuming that the output 'output_1' is the label",
    ),
    "two numbers": (
        lambda folder: binary(folder, "N", label="count", score="mean"),
        "x[any,4] features -> count[any] tensor; mean[any] tensor",
        "",
    ),
    "names beside a single score": (
        named(lambda folder: binary(folder, "N", 1), ["no", "yes"]),
        "x[any,4] features -> label[any] label; score[any,1] tensor",
        "is not used: it can only name the columns of probabilities",
    ),
    "isolation forest": (
        of_sklearn(IsolationForest(n_estimators=4, random_state=0)),
        "X[any,4] features -> label[any,1] label; scores[any,1] tensor",
        "assuming that the output 'label' is the label",
    ),
    "KNN": (of_sklearn(KNeighborsClassifier(), **PLAIN), LABELLED, ""),
    "naive Bayes": (of_sklearn(GaussianNB(), **PLAIN), LABELLED, ""),
    "voting": (
        of_sklearn(
            VotingClassifier(
                [("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False
            ),
            **PLAIN,
        ),
        LABELLED,
        "",
    ),
    "stacking": (
        of_sklearn(StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]), **PLAIN),
        LABELLED,
        "",
    ),
    "KNN with names": (
        of_sklearn(KNeighborsClassifier(), WORDS, **PLAIN),
        "X[any,4] features -> label[any] label; probabilities[any,3] probabilities ('no', 'perhaps', 'yes')",
        "",
    ),
    "no width, a scaler": (
        of_sklearn(make_pipeline(StandardScaler(), LogisticRegression()), shape=None, **PLAIN),
        LABELLED,
        "",
    ),
    "no width, KNN": (of_sklearn(KNeighborsClassifier(), shape=None, **PLAIN), LABELLED, ""),
    "no width, naive Bayes": (of_sklearn(GaussianNB(), shape=None, **PLAIN), LABELLED, ""),
    "no width, SVC": (of_sklearn(SVC(), shape=None, **PLAIN), SCORED, SCORES),
    "no width, two matrices": (
        lambda folder: save(
            folder,
            [node("MatMul", ["a", "w"], ["c"]), node("Gemm", ["b", "w"], ["d"]), node("Sub", ["c", "d"], ["y"])],
            [floats("a", None, None), floats("b", None, None)],
            [floats("y", None, 2)],
            [constant("w", np.ones((3, 2), np.float32))],
        ),
        "a[any,3] tensor; b[any,3] tensor -> y[any,2] tensor",
        "",
    ),
    "an imputer before a model": (
        of_sklearn(make_pipeline(SimpleImputer(), LogisticRegression()), **PLAIN),
        LABELLED.replace("features", "features missing"),
        "",
    ),
    "names for whole numbers": (
        named(of_sklearn(LogisticRegression(), **PLAIN), ["no", "perhaps", "yes"]),
        "X[any,4] features -> probabilities[any,3] probabilities ('no', 'perhaps', 'yes')",
        "the prediction is the name in the metadata pilotlight.labels of the highest of 'probabilities'",
    ),
    "names beside scores": (
        named(of_sklearn(SVC(), **PLAIN), ["no", "perhaps", "yes"]),
        SCORED,
        "pilotlight.labels is not used: it can only name the columns of probabilities",
    ),
    "names for a softmax": (
        named(softmax, ["a", "b", "c"]),
        "x[any,3] features -> p[any,3] probabilities ('a', 'b', 'c')",
        "assuming that the output 'p' has the probabilities of the labels",
    ),
    "names of another number": (
        named(softmax, ["a", "b"]),
        "x[any,3] features -> p[any,3] tensor",
        "pilotlight.labels is not used: no output of floats has 2 columns",
    ),
    "the number of a class": (
        argmax,
        "x[any,3] features -> label[any] label; probabilities[any,3] probabilities (0, 1, 2)",
        "the model does not name its 3 classes; they are called 0 to 2",
    ),
    "a guess that saw several classes": (
        lambda folder: argmax(folder, hidden=True),
        "x[any,3] features -> label[any] label; probabilities[any,3] probabilities (0, 1, 2)",
        "they are called 0 to 2",
    ),
    "CatBoost's regressor": (
        made.catboost_regressor,
        "features[any,4] features -> predictions[any,1] tensor",
        "declares [any] as the shape of the output 'predictions', but gives [any, 1], which the signature has",
    ),
    "an output without rows": (
        lambda folder: summed(folder, "rows", "total"),
        "x[any,4] features -> rows[any,1] tensor",
        "output 'total' has the shape []",
    ),
    "one value for all rows": (
        lambda folder: summed(folder, "total"),
        "x[1,4] features -> total[] tensor",
        "the model gives one value for all rows, so each request has one row",
    ),
    "an output of other rows": (
        lambda folder: summed(folder, "rows", "columns"),
        "x[any,4] features -> rows[any,1] tensor",
        "output 'columns' has the shape [4]",
    ),
    "trees that expect missing values": (
        lambda folder: boosted(folder, 1),
        "features[any,4] features missing -> predictions[any,1] tensor",
        "",
    ),
    "trees that expect missing values behind a scaler": (
        lambda folder: boosted(folder, 1, scaled=True),
        "features[any,4] features missing -> predictions[any,1] tensor",
        "",
    ),
    "trees that expect none": (
        lambda folder: boosted(folder, 0),
        "features[any,4] features -> predictions[any,1] tensor",
        "",
    ),
    "ZipMap of skl2onnx": (
        of_sklearn(LogisticRegression()),
        f"X[any,4] features -> output_label[any] label; output_probability[any,3] probabilities {CLASSES}",
        "ZipMap was taken out: the output 'output_probability' is a tensor with a column for each of its 3 labels",
    ),
    "ZipMap of names, no width": (
        of_sklearn(KNeighborsClassifier(), WORDS, shape=None),
        f"X[any,4] features -> output_label[any] label; output_probability[any,3] probabilities {NAMES}",
        "ZipMap was taken out",
    ),
    "ZipMap of doubles": (
        of_sklearn(LogisticRegression(), WORDS, double=True),
        f"X[any,4] features -> output_label[any] label; output_probability[any,3] probabilities {NAMES}",
        "ZipMap was taken out",
    ),
    "ZipMap of CatBoost": (
        made.catboost_classifier,
        "features[any,4] features -> label[any] label; probabilities[any,2] probabilities (0, 1)",
        "ZipMap was taken out",
    ),
    "ZipMap of LightGBM": (
        made.lightgbm_classifier,
        "input[any,4] features missing -> label[any] label; probabilities[any,2] probabilities (3, 5)",
        "declares [1] as the shape of the output 'label', but gives [any]",
    ),
    "ZipMap of LightGBM with names": (
        partial(made.lightgbm_classifier, names=True),
        "input[any,4] features missing -> label[any] label; probabilities[any,2] probabilities ('no', 'yes')",
        "ZipMap was taken out",
    ),
    "several targets of skl2onnx": (
        of_sklearn(
            MultiOutputClassifier(LogisticRegression()), np.stack([made.TENS, made.TENS[::-1] // 10], 1), **PLAIN
        ),
        "X[any,4] features -> label[any,2] tensor; probabilities_0[any,3] tensor; probabilities_1[any,3] tensor",
        "the sequence 'probabilities' was replaced by its tensors 'probabilities_0', 'probabilities_1'",
    ),
    "a sequence of rows": (
        of_rows(SPLIT(["x"], ["y"], axis=0, keepdims=0), ends=[sequence("y")]),
        "x[any,4] features -> y[any,4] tensor",
        "the sequence 'y' was replaced by one tensor of its elements",
    ),
    "a sequence of batches of a row": (
        of_rows(SPLIT(["x"], ["y"], axis=0), ends=[sequence("y")]),
        "x[any,4] features -> y[any,4] tensor",
        "the sequence 'y' was replaced",
    ),
    "a sequence of columns": (
        of_rows(SPLIT(["x", "two"], ["y"], axis=1), ends=[sequence("y")], two=2),
        "x[any,4] features -> y[any,2,2] tensor",
        "the sequence 'y' was replaced",
    ),
    "a sequence that grows": (
        of_rows(
            node("SequenceEmpty", [], ["none"]),
            node("SequenceInsert", ["none", "x"], ["one"]),
            node("SequenceInsert", ["one", "x"], ["y"]),
            ends=[sequence("y")],
        ),
        "x[any,4] features -> y[any,2,4] tensor",
        "the sequence 'y' was replaced",
    ),
    "an optional input": (
        lambda folder: save(
            folder,
            [node("OptionalGetElement", ["x"], ["v"]), node("Neg", ["v"], ["y"])],
            [optional("x", "N", 4)],
            [floats("y", "N", 4)],
        ),
        "x[any,4] features -> y[any,4] tensor",
        "the optional input 'x' has to be in each request",
    ),
    "an optional output": (
        of_rows(node("Optional", ["x"], ["y"]), ends=[optional("y", "N", 4)]),
        "x[any,4] features -> y[any,4] tensor",
        "the optional output 'y' was replaced by its tensor",
    ),
    "a default value": (
        lambda folder: save(
            folder,
            [node("Mul", ["x", "w"], ["y"])],
            [floats("x", "N", 2), floats("w", 2)],
            [floats("y", "N", 2)],
            [constant("w", np.ones(2, np.float32))],
        ),
        "x[any,2] features -> y[any,2] tensor",
        "the default value is always used of 'w'",
    ),
    "a batch of 1": (
        of_rows(node("Reshape", ["x", "to"], ["y"]), ends=[floats("y", 1, 4)], shape=(1, 2, 2), to=[1, 4]),
        "x[any,2,2] tensor -> y[any,4] tensor",
        "the batch, fixed at 1, was made free",
    ),
    "a batch of 8": (
        of_rows(node("Reshape", ["x", "to"], ["y"]), ends=[floats("y", 8, 4)], shape=(8, 2, 2), to=[8, -1]),
        "x[any,2,2] tensor -> y[any,4] tensor",
        "the batch, fixed at 8, was made free",
    ),
    "a batch of 8 with answers of any length": (
        of_rows(node("Neg", ["x"], ["y"]), ends=[floats("y", "unk__6", 4)], shape=(8, 4)),
        "x[any,4] features -> y[any,4] tensor",
        "the batch, fixed at 8, was made free",
    ),
    "an imputer": (imputed(), "x[any,2] features missing -> filled[any,2] tensor", ""),
    "missing values filled by operators": (
        filled("x", "filler", "x"),
        "x[any,2] features missing -> y[any,2] tensor",
        "",
    ),
    "others than missing values replaced": (filled("x", "x", "filler"), "x[any,2] features -> y[any,2] tensor", ""),
    "an imputer beside another reader": (
        imputed("Abs"),
        "x[any,2] features -> filled[any,2] tensor; y0[any,2] tensor",
        "",
    ),
}


def boosted(folder: Path, missing: int, *, scaled: bool = False) -> Path:
    scaler = node("Scaler", ["features"], ["scaled"], domain="ai.onnx.ml", offset=[1.0] * 4, scale=[2.0] * 4)
    trees = node(
        "TreeEnsembleRegressor",
        ["scaled" if scaled else "features"],
        ["predictions"],
        domain="ai.onnx.ml",
        n_targets=1,
        **made.stumps(missing),
        **made.leaves("target", 0),
    )
    steps = [scaler, trees] if scaled else [trees]
    return save(folder, steps, [floats("features", None, 4)], [floats("predictions", None, 1)])


def test_a_lookup_of_words_without_its_locale_is_published(tmp_path: Path) -> None:
    lower = node("StringNormalizer", ["x"], ["z"], case_change_action="LOWER", locale="en_US.UTF-8")
    found = inspected(words(lower)(tmp_path))
    note = "the locale en_US.UTF-8, which Amazon Linux lacks, was replaced by C.UTF-8"
    assert found.notes[0].startswith(note)
    assert set(found.golden.samples[0].outputs[0].data) == {1.0, 2.0}


@pytest.mark.parametrize(
    "attributes", [{"locale": "xx"}, {"case_change_action": "LOWER", "locale": "C"}, {"is_case_sensitive": 1}]
)
def test_a_locale_that_is_everywhere_or_unused_stays(attributes: dict[str, Any], tmp_path: Path) -> None:
    assert not recognise(words(node("StringNormalizer", ["x"], ["z"], **attributes))(tmp_path)).repairs


COUPLED: dict[str, tuple[Make, str, str]] = {
    "rows that are added up": (
        of_rows(node("CumSum", ["x", "first"], ["y"]), ends=[floats("y", 1, 4)], shape=(1, 4), first=0),
        "x[1,4] features -> y[1,4] tensor",
        "each request has one row",
    ),
    "a constant of a row": (
        of_rows(
            node("Concat", ["x", "more"], ["y"], axis=1),
            ends=[floats("y", 1, 6)],
            shape=(1, 4),
            more=np.ones((1, 2), np.float32),
        ),
        "x[1,4] features -> y[1,6] tensor",
        "each request has one row",
    ),
    "a softmax over rows": (
        of_rows(node("Softmax", ["x"], ["y"], axis=0), ends=[floats("y", 8, 4)], shape=(8, 4)),
        "x[8,4] tensor -> y[8,4] tensor",
        "each request has 8 rows",
    ),
}


@pytest.mark.parametrize("case", COUPLED)
def test_a_batch_stays_fixed_if_rows_do_not_go_alone(case: str, tmp_path: Path) -> None:
    make, signature, note = COUPLED[case]
    found = inspected(make(tmp_path))
    assert ends(found.signature) == signature
    assert note in found.notes[0]
    assert found.golden.samples


def test_a_signature_keeps_a_batch_fixed(tmp_path: Path) -> None:
    path = of_rows(node("Neg", ["x"], ["y"]), ends=[floats("y", 1, 4)], shape=(1, 4))(tmp_path)
    given = described([tensor("x", 1, 4)], [tensor("y", 1, 4)])
    found = inspected(path, signature=given)
    assert ends(found.signature) == "x[1,4] tensor -> y[1,4] tensor"
    assert found.path == path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [made.catboost_classifier, made.lightgbm_classifier, of_sklearn(LogisticRegression())])
def test_probabilities_without_zipmap_are_those_with_it_bit_for_bit(make: Make, tmp_path: Path) -> None:
    path = make(tmp_path)
    found = inspected(path)
    feeds = {found.signature.inputs[0].name: made.POINTS}
    label, maps = models.run_onnx(path, feeds).values()
    again, probabilities = models.run_onnx(found.path, feeds).values()
    assert again.tolist() == label.tolist()
    given = np.array([[row[each] for each in found.signature.labels] for row in maps], np.float32)
    assert given.tobytes() == probabilities.tobytes()


@pytest.mark.filterwarnings("ignore")
def test_probabilities_of_doubles_stay_doubles_without_zipmap(tmp_path: Path) -> None:
    estimator = LogisticRegression()
    found = inspected(made.sklearn(tmp_path, estimator, double=True))
    label, probabilities = models.run_onnx(found.path, {"X": made.POINTS.astype(np.float64)}).values()
    assert label.tolist() == estimator.predict(made.POINTS).tolist()
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, estimator.predict_proba(made.POINTS.astype(np.float64)), rtol=1e-12)


def test_a_rewriting_that_cannot_be_tried_asks_for_rows(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.STRING, [1])
    path = save(
        tmp_path,
        [node("Optional", ["x"], ["y"])],
        [value],
        [helper.make_value_info("y", helper.make_optional_type_proto(value.type))],
    )
    with pytest.raises(ModelError, match="no rows can be generated to prove .*; give rows with --golden"):
        inspected(path)
    found = inspected(path, golden=json.dumps({"instances": [{"x": "a"}]}))
    assert found.golden.samples[0].outputs[0].data == ("a",)


@pytest.mark.filterwarnings("ignore")  # of fits that do not converge
@pytest.mark.parametrize("case", PUBLISHED)
def test_the_ends_of_a_graph_are_published_as_they_are(case: str, tmp_path: Path) -> None:
    make, signature, note = PUBLISHED[case]
    found = inspected(make(tmp_path))
    assert ends(found.signature) == signature
    assert any(note in each for each in found.notes)
    (sample,) = found.golden.samples
    check_outputs(found.signature, [to_tensor(values, missing=False) for values in sample.outputs], 5)


def untrained(operator: str) -> Make:
    def make(folder: Path) -> Path:
        if operator == "Dropout":
            nodes = [node("Dropout", ["x", "half", "on"], ["y"])]
        else:
            nodes = [
                node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y", "m", "v"], training_mode=1),
            ]
        constants = [constant("half", np.float32(0.5)), constant("on", np.array(True)), constant("w", np.ones(2, "f"))]
        return save(folder, nodes, [floats("x", "N", 2)], [floats("y", "N", 2)], constants)

    return make


def noisy(folder: Path) -> Path:
    nodes = [node("RandomNormalLike", ["x"], ["noise"]), node("Add", ["x", "noise"], ["y"])]
    return save(
        folder, [*nodes, node("Neg", ["x"], ["z"])], [floats("x", "N", 2)], [floats("y", "N", 2), floats("z", "N", 2)]
    )


def unshaped(folder: Path) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    return save(folder, [node("Neg", ["x"], ["y"])], [value], [floats("y", "N", 2)])


def negated(*shape: Any) -> Make:
    return lambda folder: save(folder, [node("Neg", ["x"], ["y"])], [floats("x", *shape)], [floats("y", *shape)])


def blob(folder: Path) -> Path:
    """Write a model that says a long text for each row."""
    text = constant("text", np.array("a" * 1_000_000, object))
    zeros = node("ConstantOfShape", ["size"], ["empty"], value=helper.make_tensor("v", TensorProto.INT64, [1], [0]))
    nodes = [node("Shape", ["x"], ["size"]), zeros, node("Gather", ["texts", "empty"], ["y"])]
    texts = constant("texts", np.array([text.string_data[0].decode()], object))
    return save(
        folder, nodes, [floats("x", "N")], [helper.make_tensor_value_info("y", TensorProto.STRING, ["N"])], [texts]
    )


REFUSED: dict[str, tuple[Make, str]] = {
    "a guess that saw one class": (
        lambda folder: argmax(folder, bias=50.0, hidden=True),
        r"does not name its 3 classes, and answers 0 to all generated rows; name them with --signature, or in the met",
    ),
    "labels of another number": (named(argmax, ["a", "b"]), r"has 2 labels, 'a', 'b'; expected 3"),
    "trees without a width": (
        forest,
        r"how many columns its input 'features' of shape \[any, any\] has, only that it reads 3 at least; .* --signat",
    ),
    "a forest without a width": (
        of_sklearn(RandomForestClassifier(3), shape=None, **PLAIN),
        "does not say how many columns",
    ),
    "any width": (negated(None, None), "does not say how many columns its input 'x'"),
    "any width of one of two": (
        lambda folder: save(
            folder,
            [node("Add", ["a", "b"], ["y"])],
            [floats("a", "N", 2), floats("b", None, None)],
            [floats("y", "N", 2)],
        ),
        "does not say how many columns its input 'b'",
    ),
    "no output with rows": (
        lambda folder: summed(folder, "columns"),
        r"no output with a row for each row of its input, only 'columns' of shape \[4\]",
    ),
    "Dropout in training": (untrained("Dropout"), r"Dropout in training mode; .* model\.eval\(\)"),
    "normalisation in training": (untrained("BatchNormalization"), "BatchNormalization in training mode"),
    "random nodes": (noisy, "gives other values of y each time it runs on the same rows"),
    "an input without a shape": (unshaped, "the input 'x' has no declared shape; give its shape with --signature"),
    "an input without values": (negated("N", 0), r"the input 'x' has the shape \[-1, 0\], which holds no values"),
    "a batch of nothing": (negated(0, 4), r"the input 'x' has the shape \[0, 4\]"),
    "a sequence of unequal tensors": (
        of_rows(SPLIT(["x", "parts"], ["y"], axis=1), ends=[sequence("y")], parts=[1, 3]),
        r"the sequence 'y' cannot become one tensor: .*torch\.stack\(parts, dim=1\)",
    ),
    "a sequence as input": (
        lambda folder: save(
            folder,
            [node("ConcatFromSequence", ["x"], ["y"], axis=0)],
            [sequence("x", "N", 4)],
            [floats("y", "N", 4)],
        ),
        r"the input 'x' is a seq\(tensor\(float\)\), expected a tensor; export the model with a tensor for each",
    ),
    "a map as input": (
        lambda folder: save(
            folder,
            [node("CastMap", ["x"], ["y"], domain="ai.onnx.ml", max_map=3, map_form="SPARSE")],
            [helper.make_value_info("x", helper.make_map_type_proto(7, floats("v").type))],
            [floats("y", 1, 3)],
        ),
        r"the input 'x' is a map\(int64,tensor\(float\)\), expected a tensor; .* not from a DictVectorizer",
    ),
    "no inputs": (
        lambda folder: save(
            folder, [node("Identity", ["one"], ["y"])], [], [floats("y", 1)], [constant("one", np.ones(1, "f"))]
        ),
        "has no inputs, so it answers every request alike",
    ),
    "generated rows that fail": (
        lambda folder: save(
            folder,
            [node("Gather", ["table", "x"], ["y"])],
            [integers("x", "N")],
            [floats("y", "N")],
            [constant("table", np.ones(1, "f"))],
        ),
        "the model fails on generated rows: .*; give rows that it accepts with --golden",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", REFUSED)
def test_what_a_function_could_not_answer_is_refused(case: str, tmp_path: Path) -> None:
    make, why = REFUSED[case]
    with pytest.raises(ModelError, match=why):
        inspected(make(tmp_path))


def described(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], **more: Any) -> str:
    return json.dumps({"inputs": inputs, "outputs": outputs} | more)


def tensor(name: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": list(shape), "role": "tensor"} | more


GIVEN: dict[str, tuple[Make, str, str]] = {
    "the width of trees": (
        forest,
        described([tensor("features", -1, 5)], [tensor("predictions", -1, 1)]),
        "features[any,5] tensor -> predictions[any,1] tensor",
    ),
    "any width": (
        negated(None, None),
        described([tensor("x", -1, -1)], [tensor("y", -1, -1)]),
        "x[any,any] tensor -> y[any,any] tensor",
    ),
    "a shape": (
        unshaped,
        described([tensor("x", -1, 2)], [tensor("y", -1, 2)]),
        "x[any,2] tensor -> y[any,2] tensor",
    ),
    "the shape that was seen": (
        made.catboost_regressor,
        described([tensor("features", -1, 4)], [tensor("predictions", -1, 1)]),
        "features[any,4] tensor -> predictions[any,1] tensor",
    ),
    "one value for each request": (
        lambda folder: summed(folder, "total"),
        described([tensor("x", 1, 4)], [tensor("total")]),
        "x[1,4] tensor -> total[] tensor",
    ),
    "outputs that do not change": (
        noisy,
        described([tensor("x", -1, 2)], [tensor("z", -1, 2)]),
        "x[any,2] tensor -> z[any,2] tensor",
    ),
    "missing values": (
        negated("N", 2),
        described([tensor("x", -1, 2, missing=True)], [tensor("y", -1, 2)]),
        "x[any,2] tensor missing -> y[any,2] tensor",
    ),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_signature_says_what_a_graph_does_not(case: str, tmp_path: Path) -> None:
    make, signature, expected = GIVEN[case]
    found = inspected(make(tmp_path), signature=signature)
    assert ends(found.signature) == expected
    assert found.golden.samples


@pytest.mark.parametrize(
    ("make", "signature", "why"),
    [
        (
            forest,
            described([tensor("features", -1, 2)], [tensor("predictions", -1, 1)]),
            "does not say how many columns",
        ),
        (
            made.catboost_regressor,
            described([tensor("features", -1, 4)], [tensor("predictions", -1)]),
            r"\$\.outputs\[0\]\.shape: found \[-1\], expected \[-1, 1\] as the model has it",
        ),
        (
            lambda folder: summed(folder, "total"),
            described([tensor("x", -1, 4)], [tensor("total")]),
            r"\$\.outputs\[0\]: output 'total' has the shape \[\], expected \[5\]; leave it out, or give the inputs",
        ),
        (
            noisy,
            described([tensor("x", -1, 2)], [tensor("y", -1, 2)]),
            "gives other values of y each time",
        ),
    ],
)
def test_a_signature_that_the_model_does_not_keep_is_refused(
    make: Make, signature: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises((FormatError, ModelError), match=why):
        inspected(make(tmp_path), signature=signature)


@pytest.mark.filterwarnings("ignore")
def test_scores_that_a_signature_calls_probabilities_are_noted(tmp_path: Path) -> None:
    path = made.sklearn(tmp_path, SVC(), zipmap=False)
    own: Any = write_signature(inspected(path).signature)
    own["outputs"][1]["role"] = "probabilities"
    found = inspected(path, signature=json.dumps(own))
    assert any("has the role probabilities, but is not between 0 and 1" in note for note in found.notes)


def test_golden_samples_have_a_limit_in_bytes(tmp_path: Path) -> None:
    path = blob(tmp_path)
    found = inspected(path)
    assert not found.golden.samples
    assert any("4,000,000 bytes and are not kept" in note for note in found.notes)
    golden = json.dumps({"instances": [{"x": 1.0}] * 31})
    with pytest.raises(ModelError, match="the golden samples take .* bytes with the model's outputs, expected at most"):
        inspected(path, golden=golden)
