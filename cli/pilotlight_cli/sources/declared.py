"""What the files beside a model say of it, which wins over guesses and must not contradict the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, Datatype

# The names that inspection makes up: of columns, and of the text that a vectorizer takes.
_TEXT: Final = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of rows. `optional` is whether its value may be missing; without a datatype anything goes."""

    name: str
    datatype: Datatype | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the model; -1 in its shape is any length, and no shape is any shape. `exact`: so is the datatype."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """The contents of a file beside the model, which messages call `place`.

    `columns` are those of the only table that the model takes. `inputs` and `outputs` are tensors by name; one without
    a name is the only one, or the label. `labels` are the classes in the order of the scores. `rows` are instances for
    golden samples, from `rows_place`.
    """

    place: str
    columns: tuple[Column, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    labels: tuple[str, ...] = ()
    rows: tuple[Any, ...] = ()
    rows_place: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A model file to publish, and what is known of it. `notes` say what was chosen, and what is not used.

    `origin` is the URL that it was downloaded from, with its version, commit or digest; empty for local files.
    `given` names the model on a command line, if the path does not: that of a folder or a registry, with --file.
    """

    path: Path
    declared: Declared | None = None
    notes: tuple[str, ...] = ()
    origin: str = ""
    given: str = ""


def agreed(declared: Declared, found: Signature, *, guessed: bool) -> Signature:
    """Return the signature that was found, with what was declared. `guessed` is whether datatypes are guesses.

    Raise ModelError, with both values, where the two disagree.
    """
    signature = _with_columns(declared, found, guessed=guessed) if declared.columns else found
    _check_tensors(declared, declared.inputs, found.inputs, "input")
    _check_tensors(declared, declared.outputs, found.outputs, "output")
    return _with_labels(declared, signature) if declared.labels else signature


def _with_columns(declared: Declared, found: Signature, *, guessed: bool) -> Signature:
    names = list(found.feature_names)
    columns = declared.columns
    if not names:
        raise _disagreement(declared, f"the columns {_shown(columns)}", f"takes {_shapes(found.inputs)}, no columns")
    if len(columns) != len(names):
        raise _disagreement(
            declared, f"{len(columns)} columns ({_shown(columns)})", f"takes {len(names)}: {_list(names)}"
        )
    if found.matrix is None or found.matrix.feature_names:
        columns = _renamed(declared, names, columns, matrix=found.matrix is not None)
    if found.matrix is not None:
        return replace(found, inputs=_matrix(declared, found.matrix, columns, guessed=guessed))
    return replace(
        found,
        inputs=tuple(
            _column(declared, tensor, column, guessed=guessed)
            for tensor, column in zip(found.inputs, columns, strict=True)
        ),
    )


def _renamed(declared: Declared, names: list[str], columns: tuple[Column, ...], *, matrix: bool) -> tuple[Column, ...]:
    """Return the columns in the model's order. Raise ModelError if the model has other names of its own."""
    told = [column.name for column in columns]
    if names == [_TEXT]:
        return columns
    if not matrix and sorted(told) == sorted(names):  # each column is an input by name
        return tuple(columns[told.index(name)] for name in names)
    if told == names:
        return columns
    first = next(index for index, name in enumerate(told) if name != names[index])
    raise _disagreement(declared, f"{told[first]!r} as column {first}", f"has {names[first]!r} there")


def _matrix(declared: Declared, tensor: Input, columns: Sequence[Column], *, guessed: bool) -> tuple[Input, ...]:
    """Return one matrix of numbers, or an input for each column where some are strings."""
    names = tuple(column.name for column in columns)
    datatypes = {column.datatype for column in columns}
    if BYTES in datatypes and tensor.datatype is not BYTES:
        if not guessed:
            text = next(column for column in columns if column.datatype is BYTES)
            raise _disagreement(declared, f"strings in the column {text.name!r}", f"takes {tensor.datatype.name}")
        return tuple(
            _column(declared, Input(column.name, tensor.datatype, (-1, 1), "features"), column, guessed=True)
            for column in columns
        )
    optional = any(column.optional for column in columns)
    datatype = datatypes.pop() if guessed and len(datatypes) == 1 else None
    kept = tensor.datatype if datatype is None or (optional and not datatype.is_float) else datatype
    return (
        replace(tensor, feature_names=names, datatype=kept, missing=tensor.missing or (optional and kept.is_float)),
    )


def _column(declared: Declared, tensor: Input, column: Column, *, guessed: bool) -> Input:
    told = column.datatype
    if told is not None and (told is BYTES) != (tensor.datatype is BYTES) and (tensor.datatype is BYTES or not guessed):
        raise _disagreement(
            declared, f"{told.name} in the column {column.name!r}", f"takes {tensor.datatype.name} there"
        )
    keeps_missing = told is not None and (told.is_float or told is BYTES)
    datatype = told if guessed and told is not None and (keeps_missing or not column.optional) else tensor.datatype
    can_miss = datatype.is_float or datatype is BYTES
    return replace(
        tensor, name=column.name, datatype=datatype, missing=tensor.missing or (column.optional and can_miss)
    )


def _with_labels(declared: Declared, found: Signature) -> Signature:
    """Return the signature with its labels, which have to be as many as the columns of the scores."""
    labels = declared.labels
    told = f"{len(labels)} labels ({_list(labels)})"
    if found.output("label") or found.output("probabilities"):
        if len(found.labels) != len(labels):
            raise _disagreement(declared, told, f"has {len(found.labels)}")
        label = found.output("label")
        if label is None:
            return replace(found, labels=labels)
        if label.datatype is BYTES and found.labels != labels:
            raise _disagreement(declared, told, f"returns {_list([str(name) for name in found.labels])}")
        return found  # the model returns them itself
    widths = [output.shape[-1] for output in found.outputs if output.datatype.is_float and len(output.shape) > 1]
    if len(labels) not in widths and -1 not in widths:
        raise _disagreement(declared, told, f"returns {_shapes(found.outputs)}")
    return replace(found, labels=labels)


def _check_tensors(
    declared: Declared, told: Sequence[Tensor], found: Sequence[Input] | Sequence[Output], what: str
) -> None:
    """Check tensors by name; one without a name is the model's only one, or its label."""
    by_name: dict[str, Input | Output] = {tensor.name: tensor for tensor in found}
    labels = [tensor for tensor in found if tensor.role == "label"]
    alone = found[0] if len(found) == 1 else labels[0] if labels else None
    for tensor in told:
        known = by_name.get(tensor.name) if tensor.name else alone
        if known is None:
            if tensor.name:
                raise _disagreement(declared, f"the {what} {tensor.name!r}", f"has {_list(list(by_name))}")
            continue
        name = f"the {what} {known.name!r}"
        same = tensor.datatype is known.datatype
        if not same and (tensor.exact or (tensor.datatype is BYTES) != (known.datatype is BYTES)):
            raise _disagreement(declared, f"{name} as {tensor.datatype.name}", f"has {known.datatype.name}")
        if tensor.shape is not None and not _compatible(tensor.shape, known.shape):
            raise _disagreement(declared, f"{name} of shape {list(tensor.shape)}", f"has {list(known.shape)}")


def _compatible(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(-1 in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True))


def _disagreement(declared: Declared, told: str, model: str) -> ModelError:
    return ModelError(
        f"{declared.place} declares {told}, but the model {model}; correct {declared.place}, or describe the model "
        "with --signature"
    )


def _shapes(tensors: Sequence[Input] | Sequence[Output]) -> str:
    return _list([f"{tensor.name} {tensor.datatype.name} {list(tensor.shape)}" for tensor in tensors])


def _shown(columns: Sequence[Column]) -> str:
    return _list([column.name for column in columns])


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
