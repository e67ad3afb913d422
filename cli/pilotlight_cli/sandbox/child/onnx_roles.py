"""Guessing the roles of an ONNX model's tensors, which ONNX does not have, by their shapes and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden, Values
from pilotlight.model.signature import Input, Label, Output, Signature
from pilotlight.model.tensor import BYTES
from pilotlight_cli.sandbox.child.features import MOST_FEATURES

_OVERRIDE = "override with --signature"


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
    outputs: Sequence[Output], labels: Sequence[Label], notes: list[str]
) -> tuple[tuple[Output, ...], tuple[Label, ...]]:
    """Guess a classifier's label and probabilities by converters' names and shapes; others are tensors."""
    label = next((tensor for tensor in outputs if _is_label(tensor, outputs)), None)
    scores = next((tensor for tensor in outputs if _is_probabilities(tensor, outputs)), None)
    if label is None or scores is None:
        return tuple(outputs), ()
    count = scores.shape[1]
    if count == -1 and labels:
        scores = replace(scores, shape=(scores.shape[0], len(labels)))
    elif count == -1:
        notes.append(f"the output {scores.name!r} does not have its number of classes; {_OVERRIDE}")
        return tuple(outputs), ()
    notes.append(
        f"assuming that the outputs {label.name!r} and {scores.name!r} are label and probabilities; {_OVERRIDE}"
    )
    named = _labels(label, scores.shape[1], labels, notes)
    roles = {label.name: replace(label, role="label"), scores.name: replace(scores, role="probabilities")}
    return tuple(roles.get(tensor.name, tensor) for tensor in outputs), named


def check_guess(signature: Signature, golden: Golden) -> None:
    """Check that the label that the model predicts has the highest probability.

    Raise ModelError if it does not: every prediction would have the wrong probability.
    """
    label, scores = signature.output("label"), signature.output("probabilities")
    if label is None or scores is None:
        return
    width = len(signature.labels)
    for sample in golden.samples:
        outputs = {values.name: values for values in sample.outputs}
        if label.name not in outputs or scores.name not in outputs:
            continue
        for row, found in enumerate(outputs[label.name].data):
            if found not in signature.labels or not _is_best(outputs[scores.name], row, signature.labels.index(found)):
                raise ModelError(
                    f"the model predicts {found!r}, which does not have the highest probability where the labels are "
                    f"{', '.join(map(str, signature.labels[:6]))}{', ...' if width > 6 else ''}; give the labels in "
                    "the order of the probabilities with --signature, or in the metadata pilotlight.labels"
                )


def _is_best(scores: Values, row: int, index: int) -> bool:
    width = scores.shape[1]
    values = [value for value in scores.data[row * width : (row + 1) * width] if isinstance(value, float)]
    return len(values) != width or values[index] >= max(values) - 1e-6


def _labels(label: Output, count: int, known: Sequence[Label], notes: list[str]) -> tuple[Label, ...]:
    kind = str if label.datatype is BYTES else int
    if len(known) == count and all(type(value) is kind for value in known):
        return tuple(known)
    if kind is str:
        raise ModelError(
            f"the model has {count} classes without names; name them with --signature, or in the metadata "
            "pilotlight.labels"
        )
    notes.append(f"the model does not name its {count} classes; they are called 0 to {count - 1}")
    return tuple(range(count))


def _is_column(tensor: Input) -> bool:
    return len(tensor.shape) in (1, 2) and tensor.shape[0] in (-1, 1) and tensor.shape[1:] in ((), (1,))


def _is_label(tensor: Output, outputs: Sequence[Output]) -> bool:
    discrete = tensor.datatype is BYTES or tensor.datatype.is_integer
    vector = len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)
    return discrete and vector and ("label" in tensor.name.lower() or len(outputs) == 2)


def _is_probabilities(tensor: Output, outputs: Sequence[Output]) -> bool:
    matrix = len(tensor.shape) == 2 and (tensor.shape[1] == -1 or tensor.shape[1] >= 2)
    return tensor.datatype.is_float and matrix and ("prob" in tensor.name.lower() or len(outputs) == 2)
