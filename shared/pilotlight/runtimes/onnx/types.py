"""What ONNX calls the datatypes of tensors, what is checked before and after a session is made, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotlight.errors import InvalidRequest, ModelError
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output
from pilotlight.model.tensor import DATATYPES, Datatype

# ONNX Runtime's codes for a run in which a node failed.
RUN_FAILURES = ("FAIL", "INVALID_ARGUMENT", "RUNTIME_EXCEPTION")

# The key of the entry that says in which file a tensor is. Where these bytes are not, there is no such entry.
LOCATION = b"location"

# Up to this size a file is searched for them. Most models need no more, and not the import of what reads them.
_SMALL = 1 << 20

# A model of one operator that gives back what it is given, as a file of the ONNX format. A process's first session
# registers what computes all operators (`bench/onnx_engines.py` prints what that takes), and need not wait for a model.
SMALLEST = (
    b"\x08\x08"  # ir_version: 8
    b':7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01g'  # graph "g": y = Identity(x)
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"  # input "x": a float tensor of shape [1]
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"  # output "y": the same
    b"B\x04\n\x00\x10\r"  # opset 13
)

_BY_CODE = {datatype.onnx_code: datatype for datatype in DATATYPES.values()}


def type_name(datatype: Datatype) -> str:
    """Return ONNX's name for tensors of a datatype: `tensor(float)`."""
    return f"tensor({datatype.onnx})"


def type_of_code(code: int) -> str:
    """Return ONNX's name for tensors of an element type, by the element type's number."""
    datatype = _BY_CODE.get(code)
    return type_name(datatype) if datatype else "another type"


def check_files(model: Description, folder: Path) -> None:
    """Refuse a model in `folder` that keeps tensors in other files than its lock lists. Raises ModelError.

    ONNX Runtime opens whatever file in the model's folder a tensor names.
    """
    path = folder / model.files[0].name
    if path.stat().st_size > _SMALL or LOCATION in path.read_bytes():
        from pilotlight.runtimes.onnx.external import check_external  # noqa: PLC0415 - few models need it

        check_external(model, path)


def check_signature(kind: str, tensors: Sequence[Input | Output], found: Mapping[str, str]) -> None:
    """Hold the signature against a session's names and types, at the start and not at every request.

    Raises ModelError.
    """
    for tensor in tensors:
        expected = type_name(tensor.datatype)
        if found.get(tensor.name) != expected:
            raise ModelError(
                f"the signature has the {kind} {tensor.name!r} of type {expected}, and the model has "
                f"{', '.join(f'{name!r} of {type_}' for name, type_ in found.items())}; publish it again"
            )


def check_refusal(error: Exception) -> None:
    """Raise InvalidRequest for a run that ended because a node cannot work on what it was given.

    An index beyond a table is that, or inputs whose lengths do not go together: what the signature cannot say. A run
    for which there was not enough memory ends with the same codes, and only its message tells.
    """
    if "alloc" not in str(error):
        raise InvalidRequest("the model does not take these values") from error
