"""Golden samples: given in one of two forms, or made up; their outputs are the model's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.codec.encode import json_values
from pilotlight.errors import FormatError, InvalidRequest, ModelError, origin
from pilotlight.model.golden import Golden, Sample, Values, differences, read_golden, to_tensor
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, Tensor

Predict = Callable[[Sequence[Tensor]], Sequence[Tensor]]

# golden.json travels in the package: inputs that would make it large are left to the publisher, and answers that would
# make it larger than that are refused.
MOST_VALUES = 20_000
MOST_MADE_UP_ANSWERS = 100_000
MOST_ANSWERS = 1_000_000

# Google Cloud takes 32 MiB in a request, which are so many values of a byte; Lambda takes 6 MB.
MOST_IN_A_REQUEST = 2**25
_ROWS = 5
_SEED = 20_240_613


class _TooMany(ModelError):
    """The model's outputs are more than a file of golden samples should hold."""


def make_samples(text: str, signature: Signature, words: Mapping[str, Sequence[str]]) -> Golden:
    """The publisher's samples where there is a text, else made-up ones, else none.

    Raises FormatError, and ModelError where the smallest of requests would be too large for any cloud.
    """
    least = sum(prod(_shape(tensor, 1)) for tensor in signature.inputs)
    if least > MOST_IN_A_REQUEST:
        raise ModelError(
            f"the model takes {least:,} values a row, expected at most {MOST_IN_A_REQUEST:,}: a request holds no more; "
            "save it with smaller inputs"
        )
    if text:
        return _read_samples(text, signature)
    rows = _ROWS if signature.batch == -1 else 1
    large = sum(prod(_shape(tensor, rows)) for tensor in signature.inputs) > MOST_VALUES
    return (None if large else generate(signature, words, rows, below=10)) or Golden((), generated=True)


def golden_notes(golden: Golden, filled: Golden) -> tuple[str, ...]:
    """What to say where nobody gave samples: of those that were made up, and those that were kept."""
    if not golden.generated:
        return ()
    if not filled.samples:
        none = "there are no golden samples, so that nothing can compare answers later; give some with --golden"
        many = f"the answers to made-up inputs have more than {MOST_MADE_UP_ANSWERS:,} values, and are not kept"
        return (many, none) if golden.samples else (none,)
    return ("the golden samples are made up from a fixed seed; real ones, given with --golden, tell more",)


def _read_samples(text: str, signature: Signature) -> Golden:
    """The publisher's samples; one whose outputs were not given has none yet. Raises FormatError.

    The text is a golden.json in which a sample's outputs may be missing, or the body of a request to /predict_batch.
    """
    document = read_json(text.encode())
    if isinstance(document, dict) and "instances" in document:
        return Golden(_read_instances(Node(document).fields("instances")["instances"], signature))
    without = _lend_outputs(document)
    golden = read_golden(json.dumps(document).encode())
    return replace(
        golden,
        generated=False,
        samples=tuple(
            replace(sample, outputs=()) if index in without else sample for index, sample in enumerate(golden.samples)
        ),
    )


def generate(signature: Signature, words: Mapping[str, Sequence[str]], rows: int, below: int) -> Golden | None:
    """Made-up inputs: floats around zero from a fixed seed, whole numbers below `below`, strings out of `words`.

    None where there are strings that nobody knows: they cannot be made up.
    """
    shapes = {tensor.name: _shape(tensor, rows) for tensor in signature.inputs}
    source = random.Random(_SEED)  # noqa: S311 - the same for everyone is what is wanted
    inputs = []
    for tensor in signature.inputs:
        known = words.get(tensor.name, ())
        if tensor.datatype is BYTES and not known:
            return None
        data = tuple(_make(tensor, known, source, below) for _ in range(prod(shapes[tensor.name])))
        inputs.append(Values(tensor.name, tensor.datatype, shapes[tensor.name], data))
    return Golden((Sample(tuple(inputs), ()),), generated=True)


def same_words(signature: Signature, words: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the same strings for every input of strings: an ONNX file does not say which belong to which."""
    return {tensor.name: words for tensor in signature.inputs if tensor.datatype is BYTES}


def fill(golden: Golden, signature: Signature, predict: Predict) -> Golden:
    """The samples with the model's own outputs where none were given; no made-up ones whose outputs are too many.

    Raises ModelError when the model cannot answer a sample, or answers otherwise or more than the publisher may say.
    """
    try:
        return replace(
            golden,
            samples=tuple(
                _fill(golden, sample, signature, predict, f"golden sample {index}")
                for index, sample in enumerate(golden.samples)
            ),
        )
    except _TooMany:
        if not golden.generated:
            raise
        return replace(golden, samples=())


def tensors(sample: Sample, signature: Signature, about: str) -> tuple[Tensor, ...]:
    """A sample's inputs as the model takes them, in its order. Raises FormatError where they are not its inputs."""
    given = {values.name: values for values in sample.inputs}
    wanted = [tensor.name for tensor in signature.inputs]
    if set(given) != set(wanted) or len(sample.inputs) != len(wanted):
        names = ", ".join(values.name for values in sample.inputs)
        raise FormatError(f"{about} has the inputs {names}, and the model takes {', '.join(wanted)}", "")
    for tensor in signature.inputs:
        values = given[tensor.name]
        if values.datatype is not tensor.datatype or not fits(tensor.shape, values.shape):
            raise FormatError(
                f"{about}: input {tensor.name!r} is {values.datatype.name} of shape {list(values.shape)}, and the "
                f"model takes {tensor.datatype.name} of shape {list(tensor.shape)}",
                "",
            )
    return tuple(to_tensor(given[name]) for name in wanted)


def fits(shape: Sequence[int], lengths: Sequence[int]) -> bool:
    """Whether lengths are of a shape in which -1 stands for any."""
    return len(shape) == len(lengths) and all(want in (-1, length) for want, length in zip(shape, lengths, strict=True))


def _read_instances(node: Node, signature: Signature) -> tuple[Sample, ...]:
    """One batch where the model takes batches of any size, else a sample for each instance."""
    items = node.items(lambda item: item)
    try:
        if signature.batch == -1:
            batches = [read_instances(signature, node.value, node.path)]
        else:
            batches = [read_instance(signature, item.value, item.path) for item in items]
    except InvalidRequest as error:
        raise FormatError(error.message, error.path or node.path) from None
    return tuple(Sample(_values(signature.inputs, batch), ()) for batch in batches)


def _values(provisional_description: Sequence[Input], given: Sequence[Tensor]) -> tuple[Values, ...]:
    return tuple(to_values(tensor.name, values) for tensor, values in zip(provisional_description, given, strict=True))


def to_values(name: str, tensor: Tensor) -> Values:
    """A tensor as a file shows it."""
    return Values(name, tensor.datatype, tensor.shape, tuple(json_values(tensor)))


def _lend_outputs(document: object) -> set[int]:
    """The strict reader wants outputs: samples without lend it their inputs. Which ones did."""
    samples = document.get("samples") if isinstance(document, dict) else None
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
    sample: Sample, signature: Signature, predict: Predict, most: int = MOST_ANSWERS
) -> tuple[Values, ...]:
    """The model's outputs for a sample. Raises ModelError where they are more than `most` values."""
    results = predict(tensors(sample, signature, "the sample"))
    count = sum(prod(tensor.shape) for tensor in results)
    if count > most:
        raise _TooMany(f"the model answers {count:,} values, expected at most {most:,}")
    return tuple(to_values(output.name, tensor) for output, tensor in zip(signature.outputs, results, strict=True))


def _fill(golden: Golden, sample: Sample, signature: Signature, predict: Predict, about: str) -> Sample:
    tensors(sample, signature, about)  # what does not fit is the file's mistake, not the model's
    try:
        found = predict_sample(sample, signature, predict, MOST_MADE_UP_ANSWERS if golden.generated else MOST_ANSWERS)
    except _TooMany as error:
        raise _TooMany(f"{about}: {error}; give fewer rows, or smaller ones, with --golden") from None
    except Exception as error:  # a model raises what it likes
        raise ModelError(f"the model does not answer {about}: {type(error).__name__}: {origin(error)}") from error
    wrong = differences(golden, sample.outputs, found)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(f"{about} is not what the model answers: {'; '.join(wrong[:3])}{more}; correct the file")
    return sample if sample.outputs else replace(sample, outputs=found)
