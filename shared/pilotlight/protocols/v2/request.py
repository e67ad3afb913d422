"""A V2 inference request: its tensors, and the outputs that it requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.codec.body import read_fields
from pilotlight.errors import InvalidRequest
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor
from pilotlight.protocols.v2.binary import Data
from pilotlight.protocols.v2.fields import by_name, flag, parameters
from pilotlight.protocols.v2.inputs import read_inputs

# Extensions that would change an output's entry. Other unknown parameters have no effect.
_UNSUPPORTED = ("classification", "shared_memory_region")


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for: its name, its index in the signature, and whether to send it as bytes."""

    name: str
    index: int
    is_binary: bool


@dataclass(frozen=True, slots=True)
class Inference:
    """A request: its id, the model's inputs in the order of its signature, the outputs in the requested order."""

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...]


def read_inference(model: Description, document: object, data: Data) -> Inference:
    """Read a request's document and its tensors. Raise InvalidRequest with the place of a fault."""
    optional = ("id", "parameters", "outputs", "model_name", "model_version")
    fields = read_fields(document, "$", ("inputs",), optional)
    _check_served(model, fields)
    request_id = fields.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidRequest(f"expected a string, found {describe(request_id)}", "$.id")
    binary = flag(parameters(fields, "$"), "binary_data_output", "$", default=False)
    outputs = _read_outputs(model.signature, fields.get("outputs"), binary=binary)
    return Inference(request_id, read_inputs(model.signature, fields["inputs"], data), outputs)


def _check_served(model: Description, fields: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for another model in the body, where KServe's client repeats the name of the path."""
    for name, served in (("model_name", model.name), ("model_version", str(model.version))):
        found = fields.get(name)
        if found is not None and found != served:
            raise InvalidRequest(f"this function serves {describe(served)}, found {describe(found)}", f"$.{name}")


def _read_outputs(signature: Signature, entries: object, *, binary: bool) -> tuple[RequestedOutput, ...]:
    """Return the requested outputs; all of them if none are named, as in Triton."""
    places = {output.name: index for index, output in enumerate(signature.outputs)}
    if entries is None or entries == []:
        requested = [(RequestedOutput(name, index, binary), "$") for name, index in places.items()]
    else:
        named = by_name(entries, "$.outputs", ("name",), ("parameters",))
        requested = [(_read_output(places, name, entry, path, binary), path) for name, (entry, path) in named.items()]
    for output, path in requested:
        datatype = signature.outputs[output.index].datatype
        if datatype.is_binary_only and not output.is_binary:
            advice = 'request it with the parameter "binary_data"'
            raise InvalidRequest(
                f"the output {describe(output.name)} is {datatype.name}, which has no JSON form; {advice}", path
            )
    return tuple(output for output, _ in requested)


def _read_output(
    places: Mapping[str, int], name: str, entry: Mapping[str, Any], path: str, binary: bool
) -> RequestedOutput:
    if name not in places:
        known = ", ".join(map(describe, places))
        raise InvalidRequest(f"unknown output {describe(name)}, expected {known}", f"{path}.name")
    given = parameters(entry, path)
    unsupported = next((parameter for parameter in _UNSUPPORTED if parameter in given), None)
    if unsupported is not None:
        raise InvalidRequest(f"{unsupported} is not supported", f"{path}.parameters.{unsupported}")
    return RequestedOutput(name, places[name], flag(given, "binary_data", path, default=binary))
