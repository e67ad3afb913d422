"""Golden samples as HTTP requests, and replies held against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pilotlight.codec.encode import nest
from pilotlight.model.golden import Golden, Sample, Values, differences
from pilotlight.model.signature import Signature


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """What to POST, and to which path."""

    path: str
    body: Mapping[str, Any]


def to_request(signature: Signature, sample: Sample) -> GoldenRequest | None:
    """The request that sends a sample; None where it holds a number that JSON cannot write (NaN or an infinity)."""
    values = {tensor.name: tensor for tensor in sample.inputs}
    inputs = [values[tensor.name] for tensor in signature.inputs]
    if any(value is None for tensor in inputs for value in tensor.data):
        return None
    if signature.batch is None:
        return GoldenRequest("/predict", {"features": _by_name([(tensor.name, _nested(tensor)) for tensor in inputs])})
    columns = [_nested(tensor) for tensor in inputs]
    if signature.takes_features:
        return GoldenRequest("/predict_batch", {"instances": _rows(columns)})
    names = [tensor.name for tensor in inputs]
    instances = [_by_name(list(zip(names, items, strict=True))) for items in zip(*columns, strict=True)]
    return GoldenRequest("/predict_batch", {"instances": instances})


def disagreements(signature: Signature, golden: Golden, sample: Sample, reply: Mapping[str, Any]) -> list[str]:
    """Sentences for the places where a reply leaves the tolerance; an empty list means that it agrees.

    /predict and /predict_batch give labels and probabilities, or else the first output; only these are compared.
    """
    seen = {tensor.name: tensor for tensor in sample.outputs}
    label, probabilities = signature.output("label"), signature.output("probabilities")
    wanted = [
        (output, plural) for output, plural in ((label, "predictions"), (probabilities, "probabilities")) if output
    ]
    messages = []
    for output, plural in wanted or [(signature.outputs[0], "predictions")]:
        expected = seen[output.name]
        found = _flat(_field(reply, plural))
        if len(found) != prod(expected.shape):
            messages.append(f"output {output.name!r}: found {len(found)} values, expected {prod(expected.shape)}")
            continue
        answer = Values(expected.name, expected.datatype, expected.shape, tuple(found))
        messages.extend(differences(golden, [expected], [answer]))
    return messages


def _field(reply: Mapping[str, Any], plural: str) -> Any:  # noqa: ANN401 - nested lists of any depth
    """A field of a batch's reply; /predict has its one prediction under another name."""
    if plural == "predictions" and plural not in reply:
        return reply.get("prediction", [])
    return reply.get(plural, [])


def _nested(values: Values) -> Any:  # noqa: ANN401 - a value or lists of any depth
    return nest(values.shape, list(values.data))


def _rows(columns: Sequence[Any]) -> list[list[Any]]:
    """Rows of features: from one matrix as it is, from columns of shape [n] or [n, 1] side by side."""
    if len(columns) == 1 and isinstance(columns[0][0], list):
        return list(columns[0])
    return [[_flat(cell)[0] for cell in row] for row in zip(*columns, strict=True)]


def _by_name(items: list[tuple[str, Any]]) -> Any:  # noqa: ANN401 - a value or lists of any depth
    """A single input stands for itself, several stand under their names."""
    return items[0][1] if len(items) == 1 else dict(items)


def _flat(value: Any) -> list[Any]:  # noqa: ANN401 - a value or lists of any depth
    return [scalar for item in value for scalar in _flat(item)] if isinstance(value, list) else [value]
