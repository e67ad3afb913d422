"""Loading a model as a function does, timing it, and predicting rows with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Final

from pilotlight import runtimes
from pilotlight.codec.encode import json_values
from pilotlight.errors import FormatError, InvalidRequest, ModelError, origin
from pilotlight.model.json_document import Node
from pilotlight.model.lock import FIELDS, OPTIONAL_FIELDS, Description, read_description
from pilotlight.model.signature import Signature, read_signature
from pilotlight.model.tensor import BYTES, Tensor
from pilotlight_cli.registry.rows import Rows, expected_outputs, parse_rows, take
from pilotlight_cli.sandbox.child.resources import median_seconds
from pilotlight_cli.sandbox.child.samples import MOST_OUTPUTS

_ROWS_AT_ONCE: Final = 1000


def compare(document: dict[str, Any]) -> dict[str, Any]:
    """Load the model in `folder` and time it, on one thread, in milliseconds of the processor.

    `rows` is the text of a file of rows, or empty; `readings` are signatures by which it may be read, the model's own
    or one with the other model's names; `others` are columns that only the other model knows; `texts` are outputs of
    which it has another datatype, so that the file may expect what this model cannot answer. With `predict`, the result
    has the outputs for all rows. Raise ModelError or FormatError.
    """
    model = read_description(Node(document["model"]).fields(*FIELDS, optional=OPTIONAL_FIELDS))
    rows = _read(document) if document["rows"] else None
    runtimes.preload(model)
    started = time.thread_time()
    loaded = runtimes.load(model, Path(document["folder"]), threads=1)
    found: dict[str, Any] = {"load_ms": (time.thread_time() - started) * 1000, "row_ms": None}
    if rows is None:
        return found
    batches = _split(rows, model.signature)
    if document["predict"]:
        found |= _predict(loaded, batches, model)
        found["expected"] = _expected(rows, model.signature, document["others"], document["texts"])
    first = take(batches[0], 0, 1) if model.signature.batch is not None else batches[0]
    with suppress(InvalidRequest):  # the model refuses the row
        found["row_ms"] = median_seconds(lambda: loaded.predict(first)) * 1000
    return found


def _read(document: dict[str, Any]) -> Rows:
    """Read the rows by the first signature that fits. Raise its error if none does."""
    errors = []
    for reading in document["readings"]:
        try:
            return parse_rows(document["rows"], read_signature(Node(reading)))
        except FormatError as error:
            errors.append(error)
    raise errors[0]


def _split(rows: Rows, signature: Signature) -> list[tuple[Tensor, ...]]:
    """Return the batches, those of any size in parts."""
    if signature.batch != -1:
        return list(rows.batches)
    batch = rows.batches[0]
    count = batch[0].shape[0]
    return [take(batch, start, min(start + _ROWS_AT_ONCE, count)) for start in range(0, count, _ROWS_AT_ONCE)]


def _expected(rows: Rows, signature: Signature, others: Sequence[str], texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the outputs that the file expects. Raise FormatError for a column that neither model knows."""
    outputs = [replace(output, datatype=BYTES) if output.name in texts else output for output in signature.outputs]
    names = {output.name for output in signature.outputs}
    cells = {name: found for name, found in rows.others.items() if name in names or name not in others}
    return {values.name: list(values.data) for values in expected_outputs(cells, outputs)}


def _predict(loaded: runtimes.Model, batches: Sequence[Sequence[Tensor]], model: Description) -> dict[str, Any]:
    results: list[tuple[Tensor, ...]] = []
    answered: list[int] = []
    refused: dict[str, str] = {}
    has_batch, number = model.signature.batch is not None, 1
    for batch in batches:
        count = batch[0].shape[0] if has_batch else 1
        for rows, answer in _answers(loaded, batch, number, count):
            if isinstance(answer, str):
                refused[str(rows[0])] = answer
            else:
                answered += rows
                results.append(answer)
        number += count
        _check_size(results)
    if not results:
        raise ModelError(f"the model refuses all {number - 1} rows: {next(iter(refused.values()))}")
    outputs = [
        _joined([result[index] for result in results], has_batch=has_batch)
        for index in range(len(model.signature.outputs))
    ]
    return {"outputs": outputs, "answered": answered, "refused": refused}


def _answers(
    loaded: runtimes.Model, batch: Sequence[Tensor], first: int, count: int
) -> list[tuple[list[int], tuple[Tensor, ...] | str]]:
    """Return the outputs of a batch; if the model refuses a row, those of each row or the reason."""
    numbers = list(range(first, first + count))
    try:
        return [(numbers, loaded.predict(batch))]
    except InvalidRequest as error:
        if count == 1:
            return [(numbers, str(origin(error)))]
    except Exception as error:  # a model can raise any error
        raise ModelError(f"the model fails on rows {first} to {numbers[-1]}: {origin(error)}") from error
    return [answer for row in range(count) for answer in _answers(loaded, take(batch, row, row + 1), first + row, 1)]


def _check_size(results: Sequence[Sequence[Tensor]]) -> None:
    count = sum(tensor.count for result in results for tensor in result)
    if count > MOST_OUTPUTS:
        raise ModelError(
            f"the model returns {count:,} values and more, expected at most {MOST_OUTPUTS:,}; compare fewer rows"
        )


def _joined(tensors: Sequence[Tensor], *, has_batch: bool) -> Mapping[str, Any]:
    """Return an output for all rows, its shape flat if the rows differ in theirs."""
    data = [value for tensor in tensors for value in json_values(tensor)]
    tails = {tensor.shape[1:] if has_batch else tensor.shape for tensor in tensors}
    rows = sum(tensor.shape[0] if tensor.shape else 1 for tensor in tensors) if has_batch else len(tensors)
    (tail,) = tails if len(tails) == 1 else ((),)
    shape = (rows, *tail) if prod((rows, *tail)) == len(data) else (len(data),)
    return {"shape": list(shape), "data": data}
