"""Golden samples: given in one of two forms, or generated; their outputs are the model's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from pilotlight.codec.encode import json_values
from pilotlight.errors import FormatError, InvalidRequest, ModelError, origin
from pilotlight.model.golden import Golden, Sample, Values, differences, read_golden, to_tensor, write_golden
from pilotlight.model.json_document import read_json
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, Tensor
from pilotlight_cli.registry.rows import expected_outputs, parse_rows

Predict = Callable[[Sequence[Tensor]], Sequence[Tensor]]

# golden.json is part of the package: larger inputs are not generated, and larger rows or outputs are refused.
MOST_VALUES = 20_000
MOST_GIVEN_VALUES = 500_000
MOST_GENERATED_OUTPUTS = 100_000
MOST_OUTPUTS = 1_000_000
MOST_GENERATED_BYTES = 4_000_000
MOST_BYTES = 30_000_000

# Google Cloud accepts 32 MiB in a request, which is this many values of a byte; Lambda accepts 6 MB.
MOST_IN_A_REQUEST = 2**25
_ROWS = 5
_SEED = 20_240_613


class _TooMany(ModelError):
    """The model's outputs are more than a file of golden samples should have."""


@dataclass(frozen=True, slots=True)
class _Cells(Values):
    """A column of a file that expects an output, as texts, until the outputs are known."""


def make_samples(text: str, signature: Signature, vocabulary: Mapping[str, Sequence[str]], below: int = 10) -> Golden:
    """Read the publisher's samples if there is a text, else generate some; none if that is impossible.

    Raise FormatError, or ModelError if the smallest request would be too large for any cloud.
    """
    least = sum(prod(_shape(tensor, 1)) for tensor in signature.inputs)
    if least > MOST_IN_A_REQUEST:
        raise ModelError(
            f"the model takes {least:,} values a row, expected at most {MOST_IN_A_REQUEST:,}, the limit of a request; "
            "save it with smaller inputs"
        )
    if text:
        return _read_samples(text, signature)
    rows = _ROWS if signature.batch == -1 else 1
    large = sum(prod(_shape(tensor, rows)) for tensor in signature.inputs) > MOST_VALUES
    return (None if large else generate(signature, vocabulary, rows, below)) or Golden((), generated=True)


def golden_notes(golden: Golden, filled: Golden) -> tuple[str, ...]:
    """Return the notes about generated samples, `golden`, of which those in `filled` are kept."""
    if not golden.generated:
        return ()
    if not filled.samples:
        none = "the version has no golden samples, so its predictions cannot be verified; give some with --golden"
        many = (
            f"the outputs for generated inputs have more than {MOST_GENERATED_OUTPUTS:,} values or "
            f"{MOST_GENERATED_BYTES:,} bytes and are not kept"
        )
        return (many, none) if golden.samples else (none,)
    return ("the golden samples are generated from a fixed seed; real ones, given with --golden, verify more",)


def _read_samples(text: str, signature: Signature) -> Golden:
    """Read the publisher's samples; outputs that are not given are empty. Raise FormatError.

    The text is a golden.json in which a sample's outputs may be missing, or rows as `parse_rows` reads them.
    """
    document = _golden_document(text)
    if document is None:
        return Golden(_read_row_samples(text, signature))
    without = _add_missing_outputs(document)
    golden = read_golden(json.dumps(document).encode())
    return replace(
        golden,
        generated=False,
        samples=tuple(
            replace(sample, outputs=()) if index in without else sample for index, sample in enumerate(golden.samples)
        ),
    )


def is_golden_document(text: str) -> bool:
    """Return whether the publisher's samples name inputs and outputs, and are no rows."""
    return _golden_document(text) is not None


def _golden_document(text: str) -> dict[str, object] | None:
    try:
        document = read_json(text.encode())
    except FormatError:
        return None
    return document if isinstance(document, dict) and {"format", "samples"} & document.keys() else None


def generate(signature: Signature, vocabulary: Mapping[str, Sequence[str]], rows: int, below: int) -> Golden | None:
    """Generate inputs from a fixed seed: floats around zero, integers below `below`, strings of `vocabulary`.

    Where values may be missing, they are in the last of several rows. Return None if the vocabulary of an input of
    strings is empty.
    """
    shapes = {tensor.name: _shape(tensor, rows) for tensor in signature.inputs}
    source = random.Random(_SEED)  # noqa: S311 - reproducible
    inputs = []
    for tensor in signature.inputs:
        known = vocabulary.get(tensor.name, ())
        if tensor.datatype is BYTES and not known:
            return None
        count = prod(shapes[tensor.name])
        filled = count - count // rows if tensor.missing and rows > 1 else count
        data = (*(_make(tensor, known, source, below) for _ in range(filled)), *[None] * (count - filled))
        inputs.append(Values(tensor.name, tensor.datatype, shapes[tensor.name], data))
    return Golden((Sample(tuple(inputs), ()),), generated=True)


def shared_vocabulary(signature: Signature, vocabulary: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the same strings for every input of strings: an ONNX file does not say which belong to which."""
    return {tensor.name: vocabulary for tensor in signature.inputs if tensor.datatype is BYTES}


def fill_outputs(golden: Golden, signature: Signature, predict: Predict) -> Golden:
    """Fill in the model's outputs where none are given. Drop generated samples whose outputs are too many.

    Raise ModelError if the model fails on a sample, or its outputs differ from the given ones or are too many.
    """
    try:
        filled = replace(
            golden,
            samples=tuple(
                _fill_sample(golden, sample, signature, predict, f"golden sample {index}")
                for index, sample in enumerate(golden.samples)
            ),
        )
        _check_size(filled)
        return filled
    except _TooMany:
        if not golden.generated:
            raise
        return replace(golden, samples=())


def _check_size(golden: Golden) -> None:
    size, most = len(json.dumps(write_golden(golden))), MOST_GENERATED_BYTES if golden.generated else MOST_BYTES
    if size > most:
        raise _TooMany(
            f"the golden samples take {size:,} bytes with the model's outputs, expected at most {most:,}; give fewer "
            "or smaller rows with --golden"
        )


def input_tensors(sample: Sample, signature: Signature, about: str) -> tuple[Tensor, ...]:
    """Return a sample's inputs in the signature's order. Raise FormatError if they do not match the signature."""
    given = {values.name: values for values in sample.inputs}
    expected = [tensor.name for tensor in signature.inputs]
    if set(given) != set(expected) or len(sample.inputs) != len(expected):
        names = ", ".join(values.name for values in sample.inputs)
        raise FormatError(f"{about}: found the inputs {names}, expected {', '.join(expected)}", "")
    for tensor in signature.inputs:
        values = given[tensor.name]
        if values.datatype is not tensor.datatype or not shape_matches(tensor.shape, values.shape):
            raise FormatError(
                f"{about}: input {tensor.name!r} is {values.datatype.name} of shape {list(values.shape)}, expected "
                f"{tensor.datatype.name} of shape {list(tensor.shape)}",
                "",
            )
    try:
        return tuple(to_tensor(given[tensor.name], missing=tensor.missing) for tensor in signature.inputs)
    except InvalidRequest as error:
        raise FormatError(f"{about}: {error.message}", error.path or "") from None


def shape_matches(shape: Sequence[int], lengths: Sequence[int]) -> bool:
    """Return whether lengths match a shape in which -1 stands for any length."""
    return len(shape) == len(lengths) and all(
        expected in (-1, length) for expected, length in zip(shape, lengths, strict=True)
    )


def _read_row_samples(text: str, signature: Signature) -> tuple[Sample, ...]:
    """Return a sample for each batch of rows. Columns of outputs become expected outputs."""
    rows = parse_rows(text, signature)
    count = sum(tensor.count for batch in rows.batches for tensor in batch)
    if count > MOST_GIVEN_VALUES:
        raise FormatError(
            f"found {count:,} values, expected at most {MOST_GIVEN_VALUES:,}; give fewer rows: golden samples are part "
            "of the function's package",
            "",
        )
    samples, start = [], 0
    for batch in rows.batches:
        stop = start + batch[0].shape[0] if signature.batch is not None else start + 1
        cells = tuple(_Cells(name, BYTES, (stop - start,), texts[start:stop]) for name, texts in rows.others.items())
        samples.append(Sample(_values(signature.inputs, batch), cells))
        start = stop
    return tuple(samples)


def _values(declared: Sequence[Input], given: Sequence[Tensor]) -> tuple[Values, ...]:
    return tuple(_to_values(tensor.name, values) for tensor, values in zip(declared, given, strict=True))


def _to_values(name: str, tensor: Tensor) -> Values:
    """Return a tensor in the form of a file."""
    return Values(name, tensor.datatype, tensor.shape, tuple(json_values(tensor)))


def _add_missing_outputs(document: dict[str, object]) -> set[int]:
    """Set missing outputs to the inputs, for the strict reader. Return the indices of these samples."""
    samples = document.get("samples")
    without = {
        index
        for index, sample in enumerate(samples if isinstance(samples, list) else ())
        if isinstance(sample, dict) and "outputs" not in sample and "inputs" in sample
    }
    for index in without:
        samples[index]["outputs"] = samples[index]["inputs"]  # type: ignore[index]
    return without


def _shape(tensor: Input, rows: int) -> tuple[int, ...]:
    return tuple(
        (rows if position == 0 else 1) if length == -1 else length for position, length in enumerate(tensor.shape)
    )


def _make(tensor: Input, known: Sequence[str], source: random.Random, below: int) -> bool | int | float | str:
    if tensor.datatype is BYTES:
        return source.choice(known)
    if tensor.datatype is BOOL:
        return source.random() < 0.5
    if tensor.datatype.is_float:
        return round(source.gauss(0, 1), 3)
    return source.randrange(below)


def predict_sample(
    sample: Sample, signature: Signature, predict: Predict, most: int = MOST_OUTPUTS
) -> tuple[Values, ...]:
    """Return the model's outputs for a sample. Raise ModelError if they are more than `most` values."""
    results = predict(input_tensors(sample, signature, "the sample"))
    count = sum(prod(tensor.shape) for tensor in results)
    if count > most:
        raise _TooMany(f"the model returns {count:,} values, expected at most {most:,}")
    return tuple(_to_values(output.name, tensor) for output, tensor in zip(signature.outputs, results, strict=True))


def _fill_sample(golden: Golden, sample: Sample, signature: Signature, predict: Predict, about: str) -> Sample:
    input_tensors(sample, signature, about)  # raises FormatError: a mistake of the file, not of the model
    expected = _expected(sample, signature)
    try:
        found = predict_sample(sample, signature, predict, MOST_GENERATED_OUTPUTS if golden.generated else MOST_OUTPUTS)
    except _TooMany as error:
        raise _TooMany(f"{about}: {error}; give fewer or smaller rows with --golden") from None
    except Exception as error:  # a model can raise any error
        raise ModelError(f"the model fails on {about}: {type(error).__name__}: {origin(error)}") from error
    wrong = differences(golden, expected, found)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(
            f"{about} differs from the model's outputs: {'; '.join(wrong[:3])}{more}; correct the file, or leave its "
            "outputs out"
        )
    return sample if len(sample.outputs) == len(found) else replace(sample, outputs=found)


def _expected(sample: Sample, signature: Signature) -> tuple[Values, ...]:
    cells = {
        values.name: [str(cell) for cell in values.data] for values in sample.outputs if isinstance(values, _Cells)
    }
    return expected_outputs(cells, signature.outputs) if cells else sample.outputs
