"""Between the messages of gRPC and the core's tensors. All checks are those of V2 over HTTP.

A request becomes the document of an HTTP request without data, and `Contents` hands out its tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import grpc_inference_pb2 as pb
from pilotlight.errors import InvalidRequest
from pilotlight.model.lock import Description
from pilotlight.model.tensor import BYTES, Datatype, Tensor, pack, pack_numbers
from pilotlight.protocols.v2 import binary
from pilotlight.protocols.v2.request import Inference, read_inference

# The field of InferTensorContents for each datatype; FP16 and BF16 have none.
_FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Contents(binary.Data):
    """The tensors of a request, from which they are read one after the other."""

    def __init__(self, request: pb.ModelInferRequest) -> None:
        """Raise InvalidRequest unless all inputs are raw, or none."""
        super().__init__(None)
        self._inputs = request.inputs
        self._raw = request.raw_input_contents
        self._next = 0
        if self._raw and len(self._raw) != len(self._inputs):
            raise InvalidRequest(
                f"expected the contents of {len(self._inputs)} inputs, found {len(self._raw)}", "$.raw_input_contents"
            )

    def read(self, datatype: Datatype, shape: tuple[int, ...], size: object, path: str) -> Tensor:  # noqa: ARG002
        """Return the next tensor; `size` is none here. `path` is its place in the request."""
        index, self._next = self._next, self._next + 1
        contents = self._inputs[index].contents
        if not self._raw:
            return _read_typed(datatype, shape, contents, f"{path}.contents")
        if contents.ListFields():
            raise InvalidRequest("found contents beside raw_input_contents, expected one of them", f"{path}.contents")
        raw = self._raw[index]
        try:
            return binary.Data(memoryview(raw)).read(datatype, shape, len(raw), path)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, f"$.raw_input_contents[{index}]") from None


def _read_typed(datatype: Datatype, shape: tuple[int, ...], contents: pb.InferTensorContents, path: str) -> Tensor:
    field = _FIELDS.get(datatype.name)
    for found, _ in contents.ListFields():
        if found.name != field:
            expected = field or f"raw_input_contents for {datatype.name}"
            raise InvalidRequest(f"found {found.name}, expected {expected}", path)
    values: list[Any] = list(getattr(contents, field)) if field else []
    if len(values) != prod(shape):
        where = field or f"raw_input_contents, since {datatype.name} has no other form"
        raise InvalidRequest(f"expected {prod(shape)} values in {where}, found {len(values)}", path)
    if datatype is BYTES:
        values = [_text(value, f"{path}.{field}[{index}]") for index, value in enumerate(values)]
    # Floats have been rounded by the client already, and may be infinite as in raw contents.
    data = pack_numbers(datatype, values) if datatype.is_float else None
    return Tensor(datatype, shape, data or pack(datatype, values, lambda index: f"{path}.{field}[{index}]"))


def _text(value: bytes, path: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the string is not UTF-8", path) from None


def read_request(model: Description, request: pb.ModelInferRequest) -> Inference:
    """Return a request's tensors and the outputs that it asks for. Raise InvalidRequest with the place of a fault."""
    document: dict[str, Any] = {
        "id": request.id,
        # Without a JSON form: what has none there is no fault here.
        "parameters": _parameters(request.parameters, binary_data_output=True),
        "inputs": [
            {
                "name": entry.name,
                "datatype": entry.datatype,
                "shape": list(entry.shape),
                "parameters": _parameters(entry.parameters)
                | ({} if binary.BY_REFERENCE in entry.parameters else {"binary_data_size": 0}),
            }
            for entry in request.inputs
        ],
        "outputs": [
            {"name": entry.name, "parameters": _parameters(entry.parameters, binary_data=True)}
            for entry in request.outputs
        ],
    }
    return read_inference(model, document, Contents(request))


def _parameters(given: Mapping[str, pb.InferParameter], **own: object) -> dict[str, object]:
    """Return parameters as in JSON, those of the binary extension as the caller sets them."""
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in given.items()}
    return {name: getattr(given[name], choice) for name, choice in chosen.items() if choice} | own


def write_response(
    model: Description, inference: Inference, outputs: Sequence[Tensor], *, raw: bool
) -> pb.ModelInferResponse:
    """Return the requested outputs; in raw contents, or each in the field of its datatype if they all have one."""
    response = pb.ModelInferResponse(model_name=model.name, model_version=str(model.version), id=inference.id or "")
    requested = [(output.name, outputs[output.index]) for output in inference.outputs]
    raw = raw or any(tensor.datatype.name not in _FIELDS for _, tensor in requested)
    for name, tensor in requested:
        entry = response.outputs.add(name=name, datatype=tensor.datatype.name, shape=tensor.shape)
        if raw:
            response.raw_output_contents.append(bytes(binary.write(tensor)))
            continue
        values = tensor.values()
        if tensor.datatype is BYTES:
            values = [(text or "").encode("utf-8", "surrogatepass") for text in values]
        getattr(entry.contents, _FIELDS[tensor.datatype.name]).extend(values)
    return response
