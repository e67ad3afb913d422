"""Proving that a rewritten ONNX graph answers as the original: both run on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pilotlight.model.tensor import Tensor
from pilotlight.runtimes.arrays import to_numpy
from pilotlight_cli.sandbox.child.onnx_rewriting import End, Rewriting
from pilotlight_cli.sandbox.child.onnx_trial import Run, row_of, take_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

# Of a row within a batch and by itself, for which libraries add in other orders: the tolerance of golden samples.
_ABSOLUTE, _RELATIVE = 1e-5, 1e-4

Arrays = Mapping[str, "NDArray[Any]"]
RunOutputs = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]


def find_difference(
    original: InferenceSession, rewriting: Rewriting, names: Sequence[str], runs: Sequence[Run], again: RunOutputs
) -> str:
    """Return how the rewritten graph answers differently, empty if it does not.

    `names` are the inputs in the order of the runs, which are the rewritten graph's; `again` runs it on other rows.
    """
    for run in runs:
        if rewriting.batch:
            problem = _difference_by_row(original, rewriting, names, run, again)
        else:
            problem = _difference(_expected(original, rewriting.ends, names, run.inputs), run.outputs)
        if problem:
            return problem
    return ""


def _difference_by_row(
    original: InferenceSession, rewriting: Rewriting, names: Sequence[str], run: Run, again: RunOutputs
) -> str:
    """Compare a full batch bit by bit, and then each row with the original's answer to that row, repeated."""
    full = [take_rows(tensor, rewriting.batch) for tensor in run.inputs]
    problem = _difference(_expected(original, rewriting.ends, names, full), again(full))
    for row in range(run.rows or 0):
        if problem:
            break
        batch = [take_rows(row_of(tensor, row), rewriting.batch) for tensor in run.inputs]
        expected = _expected(original, rewriting.ends, names, batch)
        problem = next((name for name, found in run.outputs.items() if not _is_row(expected[name], found, row)), "")
        problem = problem and f"row {row} of a batch has another {problem!r} than by itself"
    return problem


def _expected(session: InferenceSession, ends: Sequence[End], names: Sequence[str], inputs: Sequence[Tensor]) -> Arrays:
    """Run the original; return its outputs under the names and in the form of the rewritten graph's."""
    outputs = [output.name for output in session.get_outputs()]
    feeds = {name: to_numpy(tensor) for name, tensor in zip(names, inputs, strict=True)}
    found = dict(zip(outputs, session.run(outputs, feeds), strict=True))
    for end in ends:
        found |= zip(end.outputs, _as_arrays(end, found.pop(end.name)), strict=True)
    return found


def _as_arrays(end: End, value: Any) -> list[NDArray[Any]]:  # noqa: ANN401 - what onnxruntime returns
    if end.kind == "maps":
        return [np.array([[row[key] for key in end.keys] for row in value], np.float32).reshape(-1, len(end.keys))]
    if end.kind == "stack":
        return [np.stack(value, end.axis)]
    if end.kind == "concat":
        return [np.concatenate(value, end.axis)]
    return list(value) if end.kind == "elements" else [value]


def _difference(expected: Arrays, found: Mapping[str, Tensor]) -> str:
    return next((f"{name!r} is not equal" for name, tensor in found.items() if not _equal(expected[name], tensor)), "")


def _equal(expected: NDArray[Any], found: Tensor) -> bool:
    array = to_numpy(found).astype(expected.dtype, copy=False)  # maps have floats, their tensor may have doubles
    if expected.shape != array.shape:
        return False
    return expected.tolist() == array.tolist() if array.dtype == object else expected.tobytes() == array.tobytes()


def _is_row(expected: NDArray[Any], found: Tensor, row: int) -> bool:
    array = to_numpy(found)
    if expected.shape[1:] != array.shape[1:] or len(array) <= row or not len(expected):
        return False
    if array.dtype.kind != "f":
        return bool((expected[0] == array[row]).all())
    return np.allclose(array[row], expected[0], rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
