"""From tensors to responses. One encoder writes every JSON body, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, prod
from typing import Any

from pilotlight.codec import json_fast, json_strict
from pilotlight.errors import ModelError
from pilotlight.model.signature import Label, Output, Signature
from pilotlight.model.tensor import Tensor


def to_json(document: object) -> bytes:
    """Encode a JSON body. Both libraries write the same bytes, see `json_strict.write`."""
    orjson = json_fast.library()
    if orjson is not None:
        try:
            return orjson.dumps(document)  # type: ignore[no-any-return]
        except TypeError:
            pass  # an integer beyond 64 bits or a lone surrogate
    return json_strict.write(document)


def to_texts(documents: Sequence[object]) -> list[str]:
    """Encode JSON documents, each by itself, as `to_json` does."""
    orjson = json_fast.library()
    if orjson is not None:
        try:
            return [content.decode() for content in map(orjson.dumps, documents)]
        except TypeError:
            pass
    return [to_json(document).decode() for document in documents]


def predictions(signature: Signature, outputs: Sequence[Tensor]) -> list[Any]:
    """Return a prediction for each instance: its label, or of a model without labels its output.

    Several outputs are an object by name. Without a batch dimension there is one instance. Numbers that JSON cannot
    encode become None.
    """
    label = _of_role(signature, outputs, "label")
    if label is not None:
        return json_values(label)
    columns = probabilities(signature, outputs)
    if columns is not None:
        return [None if None in row else signature.labels[row.index(max(row))] for row in columns]  # type: ignore[type-var]
    values = [_by_instance(signature, tensor) for tensor in outputs]
    if len(values) == 1:
        return values[0]
    names = [output.name for output in signature.outputs]
    return [dict(zip(names, instance, strict=True)) for instance in zip(*values, strict=True)]


def further_outputs(signature: Signature, outputs: Sequence[Tensor]) -> dict[str, list[Any]]:
    """Return what a classifier returns besides label and probabilities: by name, a value for each instance."""
    if not signature.is_classifier:
        return {}
    return {
        output.name: _by_instance(signature, tensor)
        for output, tensor in zip(signature.outputs, outputs, strict=True)
        if output.role == "tensor"
    }


def _by_instance(signature: Signature, tensor: Tensor) -> list[Any]:
    """Return an output's value for each instance; of a regressor's column one number."""
    values = json_values(tensor)
    if signature.batch is None or not tensor.shape:
        return [nest(tensor.shape, values)]
    is_column = len(tensor.shape) == 2 and tensor.shape[1] == 1
    return values if is_column else nest(tensor.shape, values)


def probabilities(signature: Signature, outputs: Sequence[Tensor]) -> list[list[float | None]] | None:
    """Return each instance's probabilities in the labels' order; None for a model without probabilities."""
    tensor = _of_role(signature, outputs, "probabilities")
    return None if tensor is None else nest(tensor.shape, json_values(tensor))


def _of_role(signature: Signature, outputs: Sequence[Tensor], role: str) -> Tensor | None:
    place = signature.places.get(role)
    return None if place is None else outputs[place]


def probability_of_each(
    labels: Sequence[Label], found: Sequence[Label | None], rows: Sequence[Sequence[float | None]]
) -> list[float | None]:
    """Return for each instance the probability of the second of two classes, the positive one, or of the predicted one.

    `found` are the predictions, `rows` the probabilities.
    """
    if len(labels) == 2:
        return [row[1] for row in rows]
    return [
        row[labels.index(prediction)] if prediction in labels else None
        for prediction, row in zip(found, rows, strict=True)
    ]


def json_values(tensor: Tensor) -> list[Any]:
    """Return the values, flat; NaN and the infinities, which JSON lacks, as None."""
    values = tensor.values()
    if tensor.datatype.is_float and not tensor.is_finite:
        return [value if isfinite(value) else None for value in values]
    return values


def nest(shape: Sequence[int], values: list[Any]) -> Any:  # noqa: ANN401 - a value or lists of any depth
    """Nest flat values in lists of that shape; for shape (), return the value itself."""
    if not shape:
        return values[0]
    for dimension in range(len(shape) - 1, 0, -1):
        length = shape[dimension]
        starts = range(0, len(values), length) if length else [0] * prod(shape[:dimension])
        values = [values[start : start + length] for start in starts]
    return values


def check_outputs(signature: Signature, outputs: Sequence[Tensor], rows: int | None) -> None:
    """Raise ModelError for an output without the signature's shape or without a row for each of `rows` instances.

    If `rows` is None, only the signature's shapes count, as for an output that is a single value.
    """
    has_rows = signature.batch is not None and rows is not None
    for output, tensor in zip(signature.outputs, outputs, strict=True):
        shape = (rows, *output.shape[1:]) if has_rows and output.shape else output.shape
        if tensor.shape == shape:
            continue
        fits = len(tensor.shape) == len(shape) and all(
            expected in (-1, found) for expected, found in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise ModelError(f"output {output.name!r} has the shape {list(tensor.shape)}, expected {list(shape)}")


def count_out_of_range(signature: Signature, outputs: Sequence[Tensor]) -> int:
    """Count the instances with an output that the model's publisher does not expect.

    That is a number outside its output's published range, one that is not finite, or an unknown label.
    """
    rows = outputs[0].shape[0] if outputs[0].shape and signature.batch is not None else 1
    unexpected = {
        index * rows // tensor.count
        for output, tensor in zip(signature.outputs, outputs, strict=True)
        for index in _unexpected(output, signature.label_set, tensor)
    }
    return len(unexpected)


def _unexpected(output: Output, labels: frozenset[Label], tensor: Tensor) -> list[int]:
    """Return the positions of unexpected values; C code alone decides the common case, none."""
    if output.role == "label":
        values = tensor.values() if labels else []
        return [] if labels.issuperset(values) else [index for index, value in enumerate(values) if value not in labels]
    is_float = tensor.datatype.is_float
    if not tensor.count or not (is_float or tensor.datatype.is_integer):
        return []
    is_finite = not is_float or tensor.is_finite
    if output.range is None and is_finite:
        return []
    low, high = output.range or (-inf, inf)
    values = tensor.values()
    if is_finite and low <= min(values) and max(values) <= high:
        return []
    return [index for index, value in enumerate(values) if not (low <= value <= high and isfinite(value))]
