"""Running an ONNX model on a few rows before it is described: whether it keeps the shapes that it declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from pilotlight.codec.encode import check_outputs
from pilotlight.errors import ModelError, origin
from pilotlight.model.golden import Golden
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import BYTES, Tensor
from pilotlight_cli.formats.onnx_facts import Facts
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.child.samples import generate, input_tensors, make_samples, shared_vocabulary
from pilotlight_cli.sandbox.job import Job

Predict = Callable[[Sequence[Tensor]], Sequence[Tensor]]

ROWS: Final = (1, 2, 7)
_MOST_VALUES: Final = 300_000  # a batch of larger rows is not made up
_WIDTHS: Final = range(1, 65)
_MOST_WIDTH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Run:
    """A batch with the model's outputs, by name. `rows` is None without a batch dimension."""

    rows: int | None
    inputs: tuple[Tensor, ...]
    outputs: Mapping[str, Tensor]


def try_batches(
    predict: Predict, signature: Signature, job: Job, notes: list[str], *, given: bool
) -> tuple[Signature, Golden, tuple[Run, ...]]:
    """Run the model as `try_out` does, and again on single rows if no output has a row for each row.

    Return the signature, whose inputs then have one row, unless it is the publisher's. Raise FormatError or ModelError.
    """
    golden, runs = try_out(predict, signature, job.golden, job.vocabulary)
    if given or any(_has_rows(output.name, runs) for output in signature.outputs):
        return signature, golden, runs
    inputs = tuple(replace(tensor, shape=(1, *tensor.shape[1:])) for tensor in signature.inputs)
    single = replace(signature, inputs=inputs)
    golden, again = try_out(predict, single, job.golden, job.vocabulary)
    if not any(_has_rows(output.name, again) for output in signature.outputs):
        shapes = (f"{name!r} of shape {list(tensor.shape)}" for name, tensor in runs[-1].outputs.items())
        raise ModelError(f"the model has no output with a row for each row of its input, only {', '.join(shapes)}")
    notes.append("the model gives one value for all rows, so each request has one row")
    return single, golden, again


def _has_rows(name: str, runs: Sequence[Run]) -> bool:
    """Return whether an output has a row for each row; a single value is that of one row."""
    shapes = [(run.rows, run.outputs[name].shape) for run in runs]
    return all(rows is None or shape[:1] == (rows,) or (rows == 1 and not shape) for rows, shape in shapes)


def try_out(
    predict: Predict, signature: Signature, golden_text: str, vocabulary: Sequence[str]
) -> tuple[Golden, tuple[Run, ...]]:
    """Run the model on the publisher's samples, or on generated ones, and on 1, 2 and 7 of their rows.

    Generated integers are below 10, or below 2 where the model accepts no others. There are no runs where no rows can
    be generated. Raise FormatError, or ModelError for a model that fails on them.
    """
    words = shared_vocabulary(signature, vocabulary)
    failure = Exception()
    taken = replace(signature, outputs=())  # what the model declares of its outputs is not known to be true yet
    for below in (10, 2):
        golden = make_samples(golden_text, taken, words, below)
        samples = [input_tensors(sample, signature, f"golden sample {i}") for i, sample in enumerate(golden.samples)]
        batches = (*samples, *_batches(taken, golden, words, below, samples))
        try:
            return golden, tuple(run_once(predict, signature, batch) for batch in batches)
        except Exception as error:  # a model can raise any error
            if is_exhaustion(error):
                raise
            failure = error
        if not golden.generated:
            break
    whose = "generated rows" if golden.generated else "golden samples"
    raise ModelError(
        f"the model fails on {whose}: {type(failure).__name__}: {origin(failure)}; give rows that it accepts with "
        "--golden"
    ) from failure


def run_once(predict: Predict, signature: Signature, batch: Sequence[Tensor]) -> Run:
    """Run the model on a batch."""
    rows = None if replace(signature, outputs=()).batch is None else batch[0].shape[0]
    names = [output.name for output in signature.outputs]
    return Run(rows, tuple(batch), dict(zip(names, predict(batch), strict=True)))


def _batches(
    signature: Signature,
    golden: Golden,
    words: Mapping[str, Sequence[str]],
    below: int,
    given: Sequence[tuple[Tensor, ...]],
) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches of 1, 2 and 7 rows, or of what the model takes at once."""
    if given and not golden.generated:
        if signature.batch == -1 and given[0][0].shape[0]:
            for rows in ROWS:
                yield tuple(take_rows(tensor, rows) for tensor in given[0])
        return
    for rows in ROWS if signature.batch == -1 else (1,):
        if _values(signature, rows) > _MOST_VALUES:
            continue
        made = generate(signature, words, rows, below)
        if made:
            yield input_tensors(made.samples[0], signature, "generated rows")


def _values(signature: Signature, rows: int) -> int:
    return sum(prod(rows if i == 0 else abs(length) for i, length in enumerate(t.shape)) for t in signature.inputs)


def take_rows(tensor: Tensor, rows: int) -> Tensor:
    """Return so many rows of a tensor, from the first on, and over again where it has fewer."""
    shape, count = (rows, *tensor.shape[1:]), prod(tensor.shape[1:])
    if isinstance(tensor.data, list):
        return Tensor(tensor.datatype, shape, [tensor.data[i % len(tensor.data)] for i in range(rows * count)])
    data, size = bytes(memoryview(tensor.data).cast("B")), rows * count * tensor.datatype.size
    return Tensor(tensor.datatype, shape, (data * (size // max(len(data), 1) + 1))[:size])


def row_of(tensor: Tensor, row: int) -> Tensor:
    """Return one row of a tensor."""
    count = prod(tensor.shape[1:])
    if isinstance(tensor.data, list):
        return Tensor(tensor.datatype, (1, *tensor.shape[1:]), tensor.data[row * count : (row + 1) * count])
    size = count * tensor.datatype.size
    return Tensor(
        tensor.datatype, (1, *tensor.shape[1:]), bytes(memoryview(tensor.data).cast("B")[row * size : (row + 1) * size])
    )


def with_widths(predict: Predict, signature: Signature, facts: Facts, *, given: bool) -> Signature:
    """Return the signature with the numbers of columns that the weights show, or that running it shows.

    Raise ModelError for a matrix whose width nothing shows: not a name for any length, nor the publisher's signature.
    """
    inputs = []
    for tensor in signature.inputs:
        width, declared = facts.widths.get(tensor.name), facts.shapes.get(tensor.name)
        if len(tensor.shape) != 2 or tensor.shape[1] != -1 or width is None or declared is None:
            inputs.append(tensor)
            continue
        runs = len(signature.inputs) == 1 and not (width.unchecked or width.least)
        count = width.exact or (_width_by_running(predict, signature, facts) if runs else 0)
        if not count and (width.unchecked or not (given or declared[1])):
            least = f", only that it reads {width.least} at least" if width.least else ""
            raise ModelError(
                f"the model does not say how many columns its input {tensor.name!r} of shape [any, any] has{least}; "
                "give them with --signature, or convert the model again with the shape [None, the number of columns]"
            )
        inputs.append(replace(tensor, shape=(tensor.shape[0], count or -1)))
    return replace(signature, inputs=tuple(inputs))


def _width_by_running(predict: Predict, signature: Signature, facts: Facts) -> int:
    """Return the one width of rows that the model accepts, beside 1, which goes with any other; 0 for none."""
    (first,) = signature.inputs
    if first.datatype is BYTES:
        return 0
    candidates = {width for length in facts.lengths if length < _MOST_WIDTH for width in (length, length + 1)}
    rows, accepted = ROWS[-1], set()
    for width in sorted(candidates.union(_WIDTHS)):
        shape = (rows, width)
        made = generate(Signature((replace(first, shape=shape),), ()), {}, rows, 2)
        if made and _accepts(predict, input_tensors(made.samples[0], signature, "generated rows"), rows):
            accepted.add(width)
        if len(accepted - {1}) > 1:
            return 0
    widths = accepted - {1} or accepted
    return widths.pop() if widths else 0


def _accepts(predict: Predict, batch: Sequence[Tensor], rows: int) -> bool:
    try:
        outputs = predict(batch)
    except Exception as error:  # a model can raise any error
        if is_exhaustion(error):
            raise
        return False
    return all(tensor.shape[:1] == (rows,) for tensor in outputs)


def seen_outputs(outputs: Sequence[Output], runs: Sequence[Run], facts: Facts, notes: list[str]) -> tuple[Output, ...]:
    """Return the outputs with the shapes that the model gives them. Notes say where it declares others."""
    seen = []
    for output in outputs:
        found = facts.shapes.get(output.name)
        declared = output.shape if found is None else tuple(-1 if isinstance(each, str) else each for each in found)
        shape = _seen_shape(declared, [(run.rows, run.outputs[output.name].shape) for run in runs])
        if shape != declared and found is not None:
            notes.append(
                f"the model declares {shown(declared)} as the shape of the output {output.name!r}, but gives "
                f"{shown(shape)}, which the signature has"
            )
        seen.append(replace(output, shape=shape))
    return tuple(seen)


def _seen_shape(declared: tuple[int, ...], seen: Sequence[tuple[int | None, tuple[int, ...]]]) -> tuple[int, ...]:
    ranks = {len(shape) for _, shape in seen}
    if len(ranks) != 1:
        return declared
    said = declared if ranks == {len(declared)} else (None,) * ranks.pop()
    return tuple(
        _seen_length(length, [(rows if place == 0 else None, shape[place]) for rows, shape in seen])
        for place, length in enumerate(said)
    )


def _seen_length(said: int | None, seen: Sequence[tuple[int | None, int]]) -> int:
    """Return -1 for any length, by the one declared and those seen for so many rows."""
    batches, lengths = {rows for rows, _ in seen}, {length for _, length in seen}
    if len(lengths) > 1:
        return -1
    kept = said == -1 and len(batches) == 1  # one batch alone shows nothing
    return -1 if kept else lengths.pop()


def row_problem(signature: Signature, output: Output, runs: Sequence[Run]) -> str:
    """Return why a function could not answer with an output, empty if it can."""
    try:
        for run in runs:
            found = run.outputs[output.name].shape
            if found == () and replace(signature, outputs=()).batch == -1:  # one value for all rows
                return f"output {output.name!r} has the shape [], expected [{run.rows}]"
            check_outputs(replace(signature, outputs=(output,)), [run.outputs[output.name]], run.rows)
    except ModelError as error:
        return str(error)
    return ""


def unstable_outputs(predict: Predict, signature: Signature, runs: Sequence[Run]) -> list[str]:
    """Return the names of outputs that differ when the model runs on the same rows again."""
    if not runs:
        return []
    again = run_once(predict, signature, runs[-1].inputs)
    return [name for name, tensor in runs[-1].outputs.items() if not _same(tensor, again.outputs[name])]


def _same(one: Tensor, other: Tensor) -> bool:
    if isinstance(one.data, list) or isinstance(other.data, list):
        return one.shape == other.shape and one.data == other.data
    return one.shape == other.shape and bytes(memoryview(one.data).cast("B")) == bytes(memoryview(other.data).cast("B"))


def shown(shape: Sequence[int]) -> str:
    """Return a shape for a message: `[any, 3]`."""
    return f"[{', '.join('any' if length == -1 else str(length) for length in shape)}]"
