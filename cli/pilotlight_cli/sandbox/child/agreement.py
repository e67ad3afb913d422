"""Holding the publisher's signature against what the model itself says."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import Input, Output, Signature, read_signature
from pilotlight.model.tensor import BYTES
from pilotlight_cli.sandbox.child.samples import fits

FILE = "the signature"


def read_given(text: str) -> Signature:
    """The publisher's signature. Raises FormatError."""
    try:
        return read_signature(Node(read_json(text.encode())))
    except FormatError as error:
        raise error.within(FILE) from None


def check_tensors(
    given: Sequence[Input | Output], found: Sequence[Input | Output], field: str, *, all_of: bool
) -> None:
    """Tensors with names of their own, as ONNX has them: each has the datatype and dimensions that the model says."""
    by_name = {tensor.name: tensor for tensor in found}
    for index, tensor in enumerate(given):
        path = f"$.{field}[{index}]"
        known = by_name.get(tensor.name)
        if known is None:
            raise _disagrees(f"the model has no {field[:-1]} {tensor.name!r}, only {', '.join(by_name)}", path)
        if tensor.datatype is not known.datatype:
            raise _disagrees(
                f"found {tensor.datatype.name}, and the model says {known.datatype.name}", f"{path}.datatype"
            )
        if not fits(known.shape, tensor.shape):
            raise _disagrees(f"found {list(tensor.shape)}, and the model says {list(known.shape)}", f"{path}.shape")
    missing = by_name.keys() - {tensor.name for tensor in given}
    if all_of and missing:
        raise _disagrees(f"the {field} {', '.join(sorted(missing))} of the model are missing", f"$.{field}")


def check_columns(given: Signature, found: Signature, *, named: bool) -> None:
    """Features of scikit-learn: as many as the model takes, with its names where it has some, strings as strings."""
    names, known = _columns(given), _columns(found)
    if len(names) != len(known):
        raise _disagrees(f"found {len(names)} features, and the model takes {len(known)}", "$.inputs")
    if named and names != known:
        first = next(index for index, name in enumerate(names) if name != known[index])
        raise _disagrees(f"feature {first} is {names[first]!r}, and the model calls it {known[first]!r}", "$.inputs")
    for index, known_input in enumerate(found.inputs):
        position = index if len(given.inputs) == len(found.inputs) else 0
        datatype = given.inputs[position].datatype
        if known_input.datatype is BYTES and datatype is not BYTES:
            raise _disagrees(
                f"found {datatype.name}, and the model takes strings there", f"$.inputs[{position}].datatype"
            )


def check_roles(given: Signature, found: Signature) -> None:
    """Outputs of scikit-learn, which have no names of their own: by their roles."""
    for index, output in enumerate(given.outputs):
        path = f"$.outputs[{index}]"
        known = found.output(output.role)
        if known is None:
            raise _disagrees(f"the model gives no {output.role}", f"{path}.role")
        if output.datatype is not known.datatype:
            raise _disagrees(
                f"found {output.datatype.name}, and the model gives {known.datatype.name}", f"{path}.datatype"
            )
        if not fits(known.shape, output.shape) and not _is_column(output.shape, known.shape):
            raise _disagrees(f"found {list(output.shape)}, and the model gives {list(known.shape)}", f"{path}.shape")


def check_labels(given: Signature, found: Signature) -> None:
    """The same classes in the same order, where the model knows them."""
    same = [(type(label), label) for label in given.labels] == [(type(label), label) for label in found.labels]
    if found.labels and given.labels and not same:
        raise _disagrees(f"found {list(given.labels)}, and the model has {list(found.labels)}", "$.labels")


def _columns(signature: Signature) -> list[str]:
    """The names of the columns; a matrix of plain numbers has one for each."""
    if signature.feature_names:
        return list(signature.feature_names)
    width = signature.inputs[0].shape[1:] if len(signature.inputs) == 1 else ()
    return [f"f{index}" for index in range(width[0])] if width else [tensor.name for tensor in signature.inputs]


def _is_column(given: Sequence[int], known: Sequence[int]) -> bool:
    """A vector of predictions may be called a column of them."""
    return len(known) == 1 and list(given[1:]) == [1]


def _disagrees(message: str, path: str) -> FormatError:
    return FormatError(message, path, FILE)
