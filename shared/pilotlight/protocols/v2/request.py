"""The form of a V2 inference request: its tensors, and the outputs that are wanted and how."""

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

# Extensions that would change what an output's entry holds. Other parameters that we do not know have no effect.
_REFUSED = ("classification", "shared_memory_region")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that is wanted: its name, its place in the signature, and whether it goes as bytes."""

    name: str
    index: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Inference:
    """A request: its own id, the model's inputs in the order of its signature, and the outputs in the order asked."""

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Wanted, ...]


def read_inference(model: Description, document: object, data: Data) -> Inference:
    """A request's document, its tensors as the signature says. Raises InvalidRequest with the place of a fault."""
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
    """The path has named the model. KServe's client repeats its name in the body, where it must be the same."""
    for name, served in (("model_name", model.name), ("model_version", str(model.version))):
        found = fields.get(name)
        if found is not None and found != served:
            known = f"expected {describe(served)}, which this function serves"
            raise InvalidRequest(f"{known}, found {describe(found)}", f"$.{name}")


def _read_outputs(signature: Signature, entries: object, *, binary: bool) -> tuple[Wanted, ...]:
    """All outputs where none are named, as in Triton."""
    places = {output.name: index for index, output in enumerate(signature.outputs)}
    if entries is None or entries == []:
        wanted = [(Wanted(name, index, binary), "$") for name, index in places.items()]
    else:
        named = by_name(entries, "$.outputs", ("name",), ("parameters",))
        wanted = [(_read_output(places, name, entry, path, binary), path) for name, (entry, path) in named.items()]
    for output, path in wanted:
        datatype = signature.outputs[output.index].datatype
        if datatype.is_binary_only and not output.binary:
            ask = 'ask for it with the parameter "binary_data"'
            raise InvalidRequest(
                f"the output {describe(output.name)} is {datatype.name}, which has no form in JSON; {ask}", path
            )
    return tuple(output for output, _ in wanted)


def _read_output(places: Mapping[str, int], name: str, entry: Mapping[str, Any], path: str, binary: bool) -> Wanted:
    if name not in places:
        known = ", ".join(map(describe, places))
        raise InvalidRequest(f"unknown output {describe(name)}, expected {known}", f"{path}.name")
    given = parameters(entry, path)
    refused = next((parameter for parameter in _REFUSED if parameter in given), None)
    if refused is not None:
        raise InvalidRequest(f"outputs take no {refused}", f"{path}.parameters.{refused}")
    return Wanted(name, places[name], flag(given, "binary_data", path, default=binary))
