"""Checking the publisher's signature against the model's own inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import Input, Output, Signature, read_signature
from pilotlight.model.tensor import BYTES
from pilotlight_cli.sandbox.child.samples import shape_matches

FILE = "the signature"


def read_given(text: str) -> Signature:
    """Parse the publisher's signature. Raise FormatError."""
    try:
        return read_signature(Node(read_json(text.encode())))
    except FormatError as error:
        raise error.within(FILE) from None


def check_tensors(
    given: Sequence[Input | Output], found: Sequence[Input | Output], field: str, *, all_of: bool
) -> None:
    """Check named tensors, as of ONNX, for the model's datatypes and shapes. Raise FormatError."""
    by_name = {tensor.name: tensor for tensor in found}
    for index, tensor in enumerate(given):
        path = f"$.{field}[{index}]"
        known = by_name.get(tensor.name)
        if known is None:
            raise _disagreement(f"the model has no {field[:-1]} {tensor.name!r}, only {', '.join(by_name)}", path)
        if tensor.datatype is not known.datatype:
            raise _disagreement(
                f"found {tensor.datatype.name}, expected {known.datatype.name} as the model has it", f"{path}.datatype"
            )
        if not shape_matches(known.shape, tensor.shape):
            raise _disagreement(
                f"found {list(tensor.shape)}, expected {list(known.shape)} as the model has it", f"{path}.shape"
            )
    missing = by_name.keys() - {tensor.name for tensor in given}
    if all_of and missing:
        raise _disagreement(f"the {field} {', '.join(sorted(missing))} of the model are missing", f"$.{field}")


def check_columns(given: Signature, found: Signature, *, named: bool) -> None:
    """Check features for scikit-learn's number, its names if it has any, and its strings. Raise FormatError."""
    names, known = _columns(given), _columns(found)
    if len(names) != len(known):
        lacking, other = (
            [name for name in one if named and name not in two] for one, two in ((known, names), (names, known))
        )
        which = f"; missing: {', '.join(lacking)}" if lacking else f"; unknown: {', '.join(other)}" if other else ""
        raise _disagreement(
            f"found {len(names)} feature{'' if len(names) == 1 else 's'}, expected {len(known)} as the model has "
            f"them{which}",
            "$.inputs",
        )
    if named and names != known:
        first = next(index for index, name in enumerate(names) if name != known[index])
        raise _disagreement(
            f"feature {first} is {names[first]!r}, expected {known[first]!r} as the model has it", "$.inputs"
        )
    for index, known_input in enumerate(found.inputs):
        position = index if len(given.inputs) == len(found.inputs) else 0
        datatype = given.inputs[position].datatype
        if known_input.datatype is BYTES and datatype is not BYTES:
            raise _disagreement(
                f"found {datatype.name}, expected BYTES: the model takes strings there",
                f"$.inputs[{position}].datatype",
            )


def match_outputs(given: Signature, found: Signature) -> list[int]:
    """Return which of the model's outputs each given one is. Raise FormatError.

    scikit-learn has no names for them. Outputs of a role are taken in their order if there are as many as the model
    has, and by the names that Pilotlight gives if there are fewer.
    """
    matched: list[int] = []
    for index, output in enumerate(given.outputs):
        path = f"$.outputs[{index}]"
        ours = [place for place, known in enumerate(found.outputs) if known.role == output.role]
        if not ours:
            raise _disagreement(f"the model has no output with the role {output.role}", f"{path}.role")
        theirs = [place for place, other in enumerate(given.outputs) if other.role == output.role]
        if len(ours) != len(theirs):
            ours = [place for place in ours if found.outputs[place].name == output.name]
            theirs = [index]
        if len(ours) != len(theirs):
            names = ", ".join(known.name for known in found.outputs)
            raise _disagreement(f"the model has no output {output.name!r}, only {names}", f"{path}.name")
        matched.append(ours[theirs.index(index)])
        known = found.outputs[matched[-1]]
        if output.datatype is not known.datatype:
            raise _disagreement(
                f"found {output.datatype.name}, expected {known.datatype.name} as the model has it", f"{path}.datatype"
            )
        if not shape_matches(known.shape, output.shape) and not _is_column(output.shape, known.shape):
            raise _disagreement(
                f"found {list(output.shape)}, expected {list(known.shape)} as the model has it", f"{path}.shape"
            )
    return matched


def check_labels(given: Signature, found: Signature) -> None:
    """Check for the model's classes in its order, where it has any. Raise FormatError."""
    same = [(type(label), label) for label in given.labels] == [(type(label), label) for label in found.labels]
    if found.labels and given.labels and not same:
        raise _disagreement(
            f"found {list(given.labels)}, expected {list(found.labels)} as the model has them", "$.labels"
        )


def _columns(signature: Signature) -> list[str]:
    """Return the names of the columns, generated for a matrix that is no features."""
    if signature.feature_names:
        return list(signature.feature_names)
    width = signature.inputs[0].shape[1:] if len(signature.inputs) == 1 else ()
    return [f"f{index}" for index in range(width[0])] if width else [tensor.name for tensor in signature.inputs]


def _is_column(given: Sequence[int], known: Sequence[int]) -> bool:
    """Return whether a column is given where the model has a vector, which is accepted."""
    return len(known) == 1 and list(given[1:]) == [1]


def _disagreement(message: str, path: str) -> FormatError:
    return FormatError(message, path, FILE)
