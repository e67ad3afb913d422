"""Comparing a library's answers with those of ONNX Runtime for the converted model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from pilotlight_cli.converting.child.errors import CannotConvert

# A number agrees as a golden sample's does. Libraries add FP32 numbers in other orders, so that the absolute part also
# grows with the largest number of an output.
ABSOLUTE, RELATIVE = 1e-5, 1e-4
OF_LARGEST = 1e-6

# Two classes whose probabilities differ by less are a tie, which the last bit of a sum decides.
TIE = 1e-9

_MOST_SHOWN = 12


@dataclass(frozen=True)
class Rows:
    """Rows by column, the library's answers by output, and for those on a threshold the index of its feature."""

    columns: dict[str, Any]
    expected: dict[str, Any]
    features: Any

    def save(self, path: Path) -> None:
        """Write the rows; strings in a form that needs no pickle."""
        columns = {"column:" + name: _plain(values) for name, values in self.columns.items()}
        expected = {"expected:" + name: _plain(np.asarray(values)) for name, values in self.expected.items()}
        np.savez(str(path), features=self.features, **columns, **expected)


def read_rows(path: Path) -> Rows:
    """Read what `save` wrote."""
    with np.load(str(path), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}

    def part(prefix: str) -> dict[str, Any]:
        return {name[len(prefix) :]: values for name, values in arrays.items() if name.startswith(prefix)}

    return Rows(part("column:"), part("expected:"), arrays["features"])


@dataclass(frozen=True)
class Agreement:
    """How the answers compare: `largest` is the largest difference of two numbers, None if there are none.

    `labels` is the number of rows with equal labels, None without labels; `ties` are others, in which the library finds
    two classes equally likely. `problem` describes the first row that differs and is empty if none does.
    """

    rows: int
    labels: Any
    largest: Any
    ties: int = 0
    problem: str = ""


def compare(model: str, rows: Rows) -> Agreement:
    """Run the ONNX model on the rows. Raise CannotConvert if ONNX Runtime cannot."""
    found = _run(model, rows)
    count = len(next(iter(rows.columns.values())))
    labels = largest = None
    ties = 0
    differing: list[Any] = []
    for name, expected in rows.expected.items():
        answer = found[name]
        if answer.shape != expected.shape:
            raise CannotConvert(
                f"the output {name} has the shape {answer.shape}, expected {expected.shape} as the library's"
            )
        if expected.dtype.kind in "fc":
            apart = np.abs(answer.astype(np.float64) - expected)
            far = ~_close(answer, expected)
            finite = apart[np.isfinite(apart)]
            largest = max(largest or 0.0, float(finite.max())) if finite.size else largest
        else:
            far = _texts(answer) != _texts(expected)
            labels = int(count - np.count_nonzero(far.reshape(count, -1).any(axis=1)))
            if name == "label":
                tied = far & _ties(rows.expected.get("probabilities"), count)
                ties, far = int(np.count_nonzero(tied)), far & ~tied
        wrong = far.reshape(count, -1).any(axis=1)
        if wrong.any():
            differing.append((name, answer, expected, wrong))
    return Agreement(count, labels, largest, ties, _problem(differing, rows) if differing else "")


def opened(model: Any) -> Any:  # noqa: ANN401 - a path or bytes; onnxruntime has no types
    """Return a session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _run(model: str, rows: Rows) -> dict[str, Any]:
    try:
        session = opened(model)
        found = session.run(None, _feed(session.get_inputs(), rows.columns))
    except Exception as error:  # ONNX Runtime has several errors for what it does not support
        first = str(error).strip().splitlines()[0]
        raise CannotConvert(f"ONNX Runtime cannot run the converted model: {first}") from error
    return dict(zip((output.name for output in session.get_outputs()), found))


_KINDS = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(string)": object,
}


def _feed(inputs: Sequence[Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Return the rows as inputs: a matrix of all columns, or the columns that the model uses."""
    kinds = {each.name: _KINDS[each.type] for each in inputs}
    if len(inputs) == 1 and inputs[0].name not in columns:
        return {inputs[0].name: np.stack(list(columns.values()), axis=1).astype(kinds[inputs[0].name])}
    shaped = {name: values if values.ndim > 1 else values.reshape(-1, 1) for name, values in columns.items()}
    return {name: shaped[name].astype(kind) for name, kind in kinds.items()}


def _close(answer: Any, expected: Any) -> Any:  # noqa: ANN401 - arrays
    finite = np.abs(expected[np.isfinite(expected)])
    absolute = max(ABSOLUTE, OF_LARGEST * float(finite.max(initial=0.0)))
    return np.isclose(answer, expected, rtol=RELATIVE, atol=absolute, equal_nan=True)


def _ties(probabilities: Any, count: int) -> Any:  # noqa: ANN401 - arrays
    if probabilities is None:
        return np.zeros(count, bool)
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -1] - ordered[:, -2] <= TIE


def _texts(values: Any) -> Any:  # noqa: ANN401 - an array
    return values.astype(str) if values.dtype.kind in "OU" else values


def _problem(differing: Sequence[Any], rows: Rows) -> str:
    """Describe the first row that differs, one on a threshold if there is, by its label if labels do."""
    name, answer, expected, wrong = min(differing, key=lambda each: each[0] != "label")
    first = len(wrong) - len(rows.features)
    indices = np.flatnonzero(wrong)
    index = int(min(indices, key=lambda each: each < first))
    where = ""
    if index >= first:
        where = f", on a threshold of {list(rows.columns)[int(rows.features[index - first])]}"
    shown = {column: _shown(values[index]) for column, values in list(rows.columns.items())[:_MOST_SHOWN]}
    more = "" if len(rows.columns) <= _MOST_SHOWN else f" and {len(rows.columns) - _MOST_SHOWN} more columns"
    return (
        f"{name}: found {_value(answer[index])} from ONNX Runtime, expected {_value(expected[index])} as the library "
        f"answers, for the row {json.dumps(shown)}{more}{where}; {int(wrong.sum())} of {len(wrong)} rows differ"
    )


def _shown(value: Any) -> Any:  # noqa: ANN401 - of an array, or an array
    found = np.asarray(value)
    return found.item() if found.ndim == 0 else found.ravel()[:_MOST_SHOWN].tolist()


def _value(value: Any) -> str:  # noqa: ANN401 - of an array, or an array
    return json.dumps(np.asarray(value).tolist())


def _plain(values: Any) -> Any:  # noqa: ANN401 - an array
    return values.astype(str) if values.dtype == object else values


def document(agreement: Agreement) -> dict[str, Any]:
    """Return the JSON form."""
    return asdict(agreement)
