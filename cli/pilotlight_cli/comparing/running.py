"""Running two models on the same rows, in turn, each time in a fresh sandboxed process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import median
from typing import Any, TypeAlias

from pilotlight.codec.encode import nest
from pilotlight.errors import FormatError, InvalidRequest, ModelError
from pilotlight.model.golden import Golden, Sample, Scalar, Values, to_tensor
from pilotlight.model.lock import write_description
from pilotlight.model.signature import Signature, write_signature
from pilotlight_cli.comparing.predictions import Answers
from pilotlight_cli.comparing.sides import Side
from pilotlight_cli.sandbox.isolation import run_task, temporary_folder

Instances: TypeAlias = "list[Any]"


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians in milliseconds of processor time: to load the model, and to predict one row, if there is any."""

    load_ms: float
    row_ms: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """The timings and answers of both models; `expected` are outputs that the file of rows has, by name."""

    timings: tuple[Timing, Timing]
    answers: tuple[Answers, Answers] | None
    expected: Mapping[str, Sequence[Scalar | None]]


def run_both(sides: tuple[Side, Side], rows: str, rounds: int, step: Callable[[str], None]) -> Run:
    """Run both models in each round, the order changing from round to round. Without rows they are only loaded.

    Raise FormatError for rows that a model cannot read, and ModelError for a model that fails.
    """
    results: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for number in range(rounds):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            step(f"round {number + 1} of {rounds}: {sides[index].name}")
            results[index].append(_run(sides[index], sides[1 - index], rows, predict=number == 0))
    timings = [
        Timing(
            median(result["load_ms"] for result in side),
            median(result["row_ms"] for result in side) if side[0]["row_ms"] is not None else None,
        )
        for side in results
    ]
    if not rows:
        return Run((timings[0], timings[1]), None, {})
    first, second = (_answers(side, result[0]) for side, result in zip(sides, results, strict=True))
    return Run((timings[0], timings[1]), (first, second), results[1][0]["expected"] | results[0][0]["expected"])


def golden_rows(sides: tuple[Side, Side]) -> tuple[str, int]:
    """Return the rows of both models' golden samples that both can read, as a file, and how many cannot be read."""
    first, second = sides
    texts, skipped = shared_instances((first.golden, second.golden), (first.model.signature, second.model.signature))
    return (f'{{"instances": [{", ".join(texts)}]}}' if texts else ""), skipped


def shared_instances(golden: tuple[Golden, Golden], signatures: tuple[Signature, Signature]) -> tuple[list[str], int]:
    """Return the instances of golden samples that both models can read, in JSON, and how many cannot be read."""
    texts: dict[str, None] = {}
    skipped = 0
    for samples, signature in zip(golden, signatures, strict=True):
        for instance in instances(samples, signature):
            shared = _for_both(instance, signatures)
            if shared is None:
                skipped += 1
            else:
                texts[json.dumps(shared)] = None
    return list(texts), skipped


def instances(golden: Golden, signature: Signature) -> Instances:
    """Return golden samples as instances of requests: records of features, or plain tensors."""
    return [instance for sample in golden.samples for instance in _instances(sample, signature)]


def _instances(sample: Sample, signature: Signature) -> Instances:
    inputs = {values.name: values for values in sample.inputs}
    tensors = [inputs[tensor.name] for tensor in signature.inputs]
    nested = [nest(values.shape, list(values.data)) for values in tensors]
    if signature.batch is None:
        return [_named(tensors, nested)]
    if not signature.takes_features:
        return [_named(tensors, list(row)) for row in zip(*nested, strict=True)]
    rows = nested[0] if signature.matrix else list(zip(*(values.data for values in tensors), strict=True))
    return [dict(zip(signature.feature_names, row, strict=True)) for row in rows]


def _named(tensors: Sequence[Values], nested: Sequence[Any]) -> Any:  # noqa: ANN401 - nested lists of any depth
    """Return a single input by itself, several by their names."""
    if len(tensors) == 1:
        return nested[0]
    return {values.name: value for values, value in zip(tensors, nested, strict=True)}


def _for_both(instance: Any, signatures: tuple[Signature, Signature]) -> Any:  # noqa: ANN401 - nested lists of any depth
    """Return an instance that both models can read, or None if one of them needs what it lacks."""
    features = [signature.feature_names for signature in signatures]
    if not all(features):
        return instance if not any(features) else None
    if same_features(*signatures):
        return list(instance.values())
    return instance if set(features[0]) | set(features[1]) <= instance.keys() else None


def same_features(first: Signature, second: Signature) -> bool:
    """Return whether the models have the same number of features and no name in common: then the order counts."""
    names = first.feature_names, second.feature_names
    return bool(names[0]) and len(names[0]) == len(names[1]) and not set(names[0]) & set(names[1])


def _run(side: Side, other: Side, rows: str, *, predict: bool) -> dict[str, Any]:
    signature = side.model.signature
    readings = [
        signature,
        *([_with_names(signature, other.model.signature)] if same_features(signature, other.model.signature) else []),
    ]
    job = {
        "model": write_description(side.model),
        "folder": str(side.folder),
        "rows": rows,
        "readings": [write_signature(reading) for reading in readings],
        "others": [*other.model.signature.feature_names, *(output.name for output in other.model.signature.outputs)],
        "texts": _of_other_datatype(signature, other.model.signature),
        "predict": predict,
    }
    try:
        return run_task("compare", job, side.packages, temporary_folder(), side.name, limits=side.limits)
    except FormatError as error:
        raise FormatError(f"the rows do not fit {side.name}: {error}", "") from None
    except ModelError as error:
        raise ModelError(f"{side.name}: {error}") from error


def _of_other_datatype(signature: Signature, other: Signature) -> list[str]:
    """Return the outputs that both models have, with another datatype."""
    theirs = {output.name: output.datatype for output in other.outputs}
    return [one.name for one in signature.outputs if theirs.get(one.name, one.datatype) is not one.datatype]


def _with_names(signature: Signature, other: Signature) -> Signature:
    """Return a signature with the other's names of features."""
    if signature.matrix:
        return replace(signature, inputs=(replace(signature.matrix, feature_names=other.feature_names),))
    named = zip(signature.inputs, other.feature_names, strict=True)
    return replace(signature, inputs=tuple(replace(tensor, name=name) for tensor, name in named))


def _answers(side: Side, result: dict[str, Any]) -> Answers:
    """Check what the process returned: the model's libraries ran in it."""
    signature = side.model.signature
    values = []
    for output, found in zip(signature.outputs, result["outputs"], strict=True):
        made = Values(output.name, output.datatype, tuple(found["shape"]), tuple(found["data"]))
        try:
            to_tensor(made, missing=False)
        except InvalidRequest as error:
            raise ModelError(f"{side.name}: output {output.name!r}: {error}") from None
        if prod(made.shape) != len(made.data):
            raise ModelError(f"{side.name}: output {output.name!r} has {len(made.data)} values for {list(made.shape)}")
        values.append(made)
    refused = {int(row): reason for row, reason in result["refused"].items()}
    return Answers(tuple(values), tuple(result["answered"]), refused)
