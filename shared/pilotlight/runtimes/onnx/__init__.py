"""ONNX models, on ONNX Runtime's C API or on its Python binding: the types and checks that both share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotlight.errors import InvalidRequest, ModelError
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output
from pilotlight.model.tensor import DATATYPES, Datatype

# ONNX Runtime's codes for a run in which a node failed.
RUN_FAILURES = ("FAIL", "INVALID_ARGUMENT", "RUNTIME_EXCEPTION")

# What a session's configuration says about a file of each format, whatever its name is: by default one that ends in
# .ort has another format than ONNX. ONNX Runtime maps its own format and leaves the weights in the mapping.
# https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
CONFIGURATIONS = {
    "onnx": {"session.load_model_format": "ONNX"},
    "ort": {
        "session.load_model_format": "ORT",
        "session.use_memory_mapped_ort_model": "1",
        "session.use_ort_model_bytes_for_initializers": "1",
    },
}

# The key of the entry that names a tensor's file. Without these bytes there is no such entry.
LOCATION = b"location"

# Up to this size a file is searched for them, which saves most models the import of a parser.
_SMALL = 1 << 20

# A model of one operator that returns its input, as an ONNX file. A process's first session registers the kernels of
# all operators (`bench/onnx_engines.py` prints how long that takes), which need not wait for a model.
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
    """Raise ModelError if the model in `folder` keeps tensors in files that its lock does not list.

    ONNX Runtime opens any file in the model's folder that a tensor names. In its own format none can.
    """
    if model.format == "ort":
        return
    path = folder / model.files[0].name
    if path.stat().st_size > _SMALL or LOCATION in path.read_bytes():
        from pilotlight.runtimes.onnx.external import check_external  # noqa: PLC0415 - few models need it

        check_external(model, path)


def check_signature(kind: str, tensors: Sequence[Input | Output], found: Mapping[str, str]) -> None:
    """Raise ModelError unless a session has the signature's names and types. Called once, not at every request."""
    for tensor in tensors:
        expected = type_name(tensor.datatype)
        if found.get(tensor.name) != expected:
            raise ModelError(
                f"expected the {kind} {tensor.name!r} of type {expected} from the signature, found in the model "
                f"{', '.join(f'{name!r} of {type_}' for name, type_ in found.items())}; publish the model again"
            )


def check_refusal(error: Exception) -> None:
    """Raise InvalidRequest if the error of a run is that a node cannot process its inputs.

    Examples are an index beyond a table, or inputs of lengths that do not match: the signature cannot express these. A
    run without enough memory ends with the same codes, and only its message differs.
    """
    if "alloc" not in str(error):
        from pilotlight.runtimes.onnx.refusals import OnnxRuntimeError, cleaned  # noqa: PLC0415 - a start does not need it

        raise InvalidRequest("the model does not accept these values") from OnnxRuntimeError(cleaned(str(error)))
