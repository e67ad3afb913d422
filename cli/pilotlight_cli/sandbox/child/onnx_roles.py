"""Guessing the roles of an ONNX model's tensors, which ONNX does not have, by their shapes, names and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Label, Output, Signature
from pilotlight.model.tensor import BYTES
from pilotlight_cli.sandbox.child.features import MOST_FEATURES
from pilotlight_cli.sandbox.child.onnx_trial import Run

_OVERRIDE = "override with --signature"
_NAMING = "name them with --signature, or in the metadata pilotlight.labels"
_SUM_TOLERANCE = 1e-2  # of half floats


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the classes: `named` by the metadata, `traced` in the graph by output, `found` anywhere in it.

    The traced classes of an output that is the number of its class are empty.
    """

    named: tuple[str | int, ...]
    traced: dict[str, tuple[str | int, ...]]
    found: tuple[str | int, ...]


def guess_inputs(inputs: Sequence[Input], names: Sequence[str], notes: list[str]) -> tuple[Input, ...]:
    """Guess the inputs: a float matrix and columns are features, others tensors. Notes say what was guessed."""
    first = inputs[0]
    width = first.shape[1] if len(first.shape) == 2 else 0
    matrix = len(inputs) == 1 and width > 0 and first.shape[0] in (-1, 1)
    if names and (not matrix or len(names) != width):
        raise ModelError(
            f"the metadata names {len(names)} features, but the model takes {first.datatype.name} of shape "
            f"{list(first.shape)}; expected a name for each column"
        )
    if not names and all(map(_is_column, inputs)):
        notes.append(
            f"assuming that the inputs {', '.join(tensor.name for tensor in inputs)} are one feature each; {_OVERRIDE}"
        )
        return tuple(replace(tensor, role="features") for tensor in inputs)
    if not matrix or not (names or (first.datatype.is_float and width <= MOST_FEATURES)):
        return tuple(inputs)
    if not names:  # the core makes them up, f0 and so on: many in a lock take long to read at each start
        notes.append(
            f"assuming that the input {first.name!r} is {width} features, called f0 to f{width - 1}; {_OVERRIDE}"
        )
    return (replace(first, role="features", feature_names=tuple(names)),)


def guess_outputs(
    outputs: Sequence[Output], known: Known, runs: Sequence[Run], notes: list[str]
) -> tuple[tuple[Output, ...], tuple[Label, ...]]:
    """Guess a classifier's label and probabilities by names and shapes, and by the values of the runs.

    Others are tensors. Raise ModelError for classes that have to be named.
    """
    label = next((tensor for tensor in outputs if _is_label(tensor, outputs)), None)
    scores = next((tensor for tensor in outputs if _is_scores(tensor, outputs, label, known.named)), None)
    if scores is not None and scores.shape[1] == -1:
        scores = _with_width(scores, len(known.named), notes)
    if scores is None and label is not None and any(_is_single_score(tensor, label) for tensor in outputs):
        return _with_label_alone(outputs, label, 2, known, runs, notes=notes)
    if scores is None:
        return _without_scores(outputs, known, notes)
    if not all(_is_distribution(run.outputs[scores.name].values(), scores.shape[1]) for run in runs):
        notes.append(
            f"the output {scores.name!r} is not between 0 and 1 with a sum of 1 in each row, so it is a tensor and not "
            "the probabilities"
        )
        return _with_label_alone(outputs, label, scores.shape[1], known, runs, notes=notes)
    if label is None:
        notes.append(f"assuming that the output {scores.name!r} has the probabilities of the labels; {_OVERRIDE}")
        return _with_roles(outputs, {scores.name: "probabilities"}, scores), known.named
    if _are_other_names(label, known.named, scores):
        return _with_names(outputs, label, scores, known, runs, notes=notes)
    notes.append(
        f"assuming that the outputs {label.name!r} and {scores.name!r} are label and probabilities; {_OVERRIDE}"
    )
    labels = _labels(label, scores.shape[1], known, runs, notes)
    return _with_roles(outputs, {label.name: "label", scores.name: "probabilities"}, scores), labels


def check_labels(signature: Signature, runs: Sequence[Run]) -> None:
    """Check that the label that the model predicts has the highest probability.

    Raise ModelError if it does not: every prediction would have the wrong probability.
    """
    label, scores = signature.output("label"), signature.output("probabilities")
    if label is None or scores is None:
        return
    width = len(signature.labels)
    for found, row in _answers(label, scores, runs):
        if found not in signature.labels or not _is_best(row, signature.labels.index(found)):
            raise ModelError(
                f"the model predicts {found!r}, which does not have the highest probability where the labels are "
                f"{', '.join(map(str, signature.labels[:6]))}{', ...' if width > 6 else ''}; give the labels in "
                "the order of the probabilities with --signature, or in the metadata pilotlight.labels"
            )


def note_scores(signature: Signature, runs: Sequence[Run], notes: list[str]) -> None:
    """Note probabilities of the publisher's signature that are none."""
    scores = signature.output("probabilities")
    if scores and not all(_is_distribution(run.outputs[scores.name].values(), scores.shape[1]) for run in runs):
        notes.append(
            f"the output {scores.name!r} has the role probabilities, but is not between 0 and 1 with a sum of 1 in "
            "each row"
        )


def _answers(label: Output, scores: Output, runs: Sequence[Run]) -> Iterator[tuple[Label, list[float]]]:
    """Yield the label and the scores of each row."""
    for run in runs:
        values, width = run.outputs[scores.name].values(), run.outputs[scores.name].shape[-1]
        for row, found in enumerate(run.outputs[label.name].values()):
            yield found, values[row * width : (row + 1) * width]


def _is_best(row: Sequence[float], index: int) -> bool:
    return not all(map(isfinite, row)) or row[index] >= max(row) - 1e-6


def _is_distribution(values: Sequence[float], width: int) -> bool:
    """Return whether each row of finite values is between 0 and 1 and has a sum of 1."""
    rows = [values[start : start + width] for start in range(0, len(values), width)]
    finite = [row for row in rows if all(map(isfinite, row))]
    return bool(finite or not rows) and all(
        min(row) >= -1e-6 and max(row) <= 1 + _SUM_TOLERANCE and abs(sum(row) - 1) <= _SUM_TOLERANCE for row in finite
    )


def _with_roles(outputs: Sequence[Output], roles: dict[str, str], scores: Output) -> tuple[Output, ...]:
    known = {scores.name: scores}
    return tuple(
        replace(known.get(tensor.name, tensor), role=roles.get(tensor.name, tensor.role)) for tensor in outputs
    )


def _with_width(scores: Output, count: int, notes: list[str]) -> Output | None:
    if count:
        return replace(scores, shape=(scores.shape[0], count))
    notes.append(f"the output {scores.name!r} does not have its number of classes; {_OVERRIDE}")
    return None


def _without_scores(
    outputs: Sequence[Output], known: Known, notes: list[str]
) -> tuple[tuple[Output, ...], tuple[Label, ...]]:
    if known.named:
        notes.append(
            f"the metadata pilotlight.labels is not used: no output of floats has {len(known.named)} columns, one for "
            "each label"
        )
    return tuple(outputs), ()


def _with_label_alone(
    outputs: Sequence[Output], label: Output | None, count: int, known: Known, runs: Sequence[Run], *, notes: list[str]
) -> tuple[tuple[Output, ...], tuple[Label, ...]]:
    """Return the outputs of a classifier that has no probabilities, with its classes where they are known."""
    kind = str if label is not None and label.datatype is BYTES else int
    traced = known.traced.get(label.name, ()) if label is not None else ()
    seen = {value for run in runs for value in run.outputs[label.name].values()} if label is not None else set()
    fitting = (each for each in (known.named, traced, known.found) if _fit(each, kind, max(count, 2)))
    labels = next((each for each in fitting if seen.issubset(each)), ())
    if known.named and labels != known.named:
        notes.append("the metadata pilotlight.labels is not used: it can only name the columns of probabilities")
    if label is None:
        return tuple(outputs), ()
    notes.append(f"assuming that the output {label.name!r} is the label; {_OVERRIDE}")
    return tuple(replace(each, role="label") if each is label else each for each in outputs), labels


def _are_other_names(label: Output, named: Sequence[str | int], scores: Output) -> bool:
    return label.datatype is not BYTES and _fit(named, str, scores.shape[1])


def _with_names(
    outputs: Sequence[Output], label: Output, scores: Output, known: Known, runs: Sequence[Run], *, notes: list[str]
) -> tuple[tuple[Output, ...], tuple[Label, ...]]:
    """Return the outputs of a classifier whose whole-number classes the metadata names.

    The label of whole numbers is left out, so that the name of the highest probability is the prediction.
    """
    classes = known.traced.get(label.name) or known.found or tuple(range(scores.shape[1]))
    alike = all(
        found in classes and _is_best(row, classes.index(found)) for found, row in _answers(label, scores, runs)
    )
    if not alike or len(classes) != scores.shape[1]:
        notes.append(
            f"the names in the metadata pilotlight.labels are not used: the output {label.name!r} is not always the "
            "class of the highest probability"
        )
        named = _labels(label, scores.shape[1], replace(known, named=()), runs, notes)
        return _with_roles(outputs, {label.name: "label", scores.name: "probabilities"}, scores), named
    notes.append(
        f"the prediction is the name in the metadata pilotlight.labels of the highest of {scores.name!r}; the output "
        f"{label.name!r}, its whole number, is left out; {_OVERRIDE}"
    )
    others = [tensor for tensor in outputs if tensor is not label]
    return _with_roles(others, {scores.name: "probabilities"}, scores), known.named


def _labels(label: Output, count: int, known: Known, runs: Sequence[Run], notes: list[str]) -> tuple[Label, ...]:
    kind = str if label.datatype is BYTES else int
    if known.named and not _fit(known.named, kind, count):
        raise ModelError(
            f"the metadata pilotlight.labels has {len(known.named)} labels, {', '.join(map(repr, known.named[:3]))}"
            f"{', ...' if len(known.named) > 3 else ''}; expected {count} for the columns of the probabilities"
        )
    traced = known.traced.get(label.name)
    for labels in (known.named, traced or (), known.found if traced is None else ()):
        if _fit(labels, kind, count):
            return tuple(labels)
    if kind is str:
        raise ModelError(f"the model has {count} classes without names; {_NAMING}")
    seen = {value for run in runs for value in run.outputs[label.name].values()}
    if traced is None and len(seen) < 2:
        raise ModelError(
            f"the model does not name its {count} classes, and "
            f"{f'answers {seen.pop()} to all generated rows' if seen else 'no row was tried'}; {_NAMING}"
        )
    notes.append(f"the model does not name its {count} classes; they are called 0 to {count - 1}")
    return tuple(range(count))


def _fit(labels: Sequence[str | int], kind: type, count: int) -> bool:
    return len(labels) == count and all(type(value) is kind for value in labels)


def _is_column(tensor: Input) -> bool:
    return len(tensor.shape) in (1, 2) and tensor.shape[0] in (-1, 1) and tensor.shape[1:] in ((), (1,))


def _is_label(tensor: Output, outputs: Sequence[Output]) -> bool:
    discrete = tensor.datatype is BYTES or tensor.datatype.is_integer
    vector = len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)
    return discrete and vector and ("label" in tensor.name.lower() or len(outputs) == 2)


def _is_single_score(tensor: Output, label: Output) -> bool:
    """Return whether an output is the one score of a row beside its label, as of a binary classifier."""
    names = f"{label.name} {tensor.name}".lower()
    single = len(tensor.shape) in (1, 2) and tensor.shape[1:] in ((), (1,))
    return tensor.datatype.is_float and single and any(word in names for word in ("label", "score", "prob"))


def _is_scores(tensor: Output, outputs: Sequence[Output], label: Output | None, named: Sequence[str | int]) -> bool:
    """Return whether a matrix of floats may have probabilities: beside a label, or of classes that have names."""
    if not tensor.datatype.is_float or len(tensor.shape) != 2 or tensor.shape[1] in (0, 1):
        return False
    if label is None:
        return bool(named) and tensor.shape[1] == len(named)
    return "prob" in tensor.name.lower() or len(outputs) == 2
