"""Golden samples: inputs with the outputs that the publisher saw, and the tolerance of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import FormatError, InvalidRequest
from pilotlight.model.json_document import Node, describe, read_json
from pilotlight.model.tensor import DATATYPES, Datatype, Tensor, pack

FORMAT = 1

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Values:
    """A tensor in the form of the file: flat, as in a request of the Open Inference Protocol V2."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    data: tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One batch: every input of the model, and the outputs that were seen for it."""

    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]


@dataclass(frozen=True, slots=True)
class Golden:
    """`golden.json`. `generated` is true if Pilotlight made the inputs up from the signature.

    A value agrees with `expected` if it differs by at most `absolute + relative * |expected|`.
    """

    samples: tuple[Sample, ...]
    absolute: float = 1e-5
    relative: float = 1e-4
    generated: bool = False


def read_golden(content: bytes) -> Golden:
    """Parse the bytes of a `golden.json`; shared/schema/golden.schema.json is its format."""
    fields = Node(read_json(content)).document(FORMAT, "source", "tolerance", "samples")
    tolerance = fields["tolerance"].fields("absolute", "relative")
    return Golden(
        samples=fields["samples"].items(_read_sample),
        absolute=_read_tolerance(tolerance["absolute"]),
        relative=_read_tolerance(tolerance["relative"]),
        generated=fields["source"].one_of("given", "generated") == "generated",
    )


def first_sample(file: Path | None) -> Sample | None:
    """Return the first sample in a file; None if the file does not exist or has no samples."""
    if file is None or not file.is_file():
        return None
    return next(iter(read_golden(file.read_bytes()).samples), None)


def write_golden(golden: Golden) -> dict[str, object]:
    """Return the JSON form of golden samples."""
    return {
        "format": FORMAT,
        "source": "generated" if golden.generated else "given",
        "tolerance": {"absolute": golden.absolute, "relative": golden.relative},
        "samples": [
            {
                "inputs": [_write_values(values) for values in sample.inputs],
                "outputs": [_write_values(values) for values in sample.outputs],
            }
            for sample in golden.samples
        ],
    }


def to_tensor(values: Values, *, missing: bool) -> Tensor:
    """Return the values as a tensor. Raise InvalidRequest, with the place in `data`, for one of another datatype.

    None represents a float that JSON cannot encode (NaN and the infinities), or a string where one may be `missing`.
    """
    missing = missing or values.datatype.is_float
    data = pack(values.datatype, list(values.data), lambda index: f"[{index}]", missing=missing)
    return Tensor(values.datatype, values.shape, data)


def differences(golden: Golden, expected: Sequence[Values], found: Sequence[Values]) -> list[str]:
    """Return a sentence for each value outside the tolerance; an empty list means that the outputs agree."""
    outputs = {values.name: values for values in found}
    messages = []
    for values in expected:
        output = outputs.get(values.name)
        if output is None:
            messages.append(f"output {values.name!r} is missing")
        elif output.shape != values.shape:
            messages.append(f"output {values.name!r}: shape {list(output.shape)}, expected {list(values.shape)}")
        else:
            messages.extend(_value_differences(golden, values, output))
    return messages


def _value_differences(golden: Golden, expected: Values, found: Values) -> list[str]:
    return [
        f"output {expected.name!r}, value {index}: found {value!r}, expected {wanted!r}"
        for index, (wanted, value) in enumerate(zip(expected.data, found.data, strict=True))
        if not agrees(golden, wanted, value)
    ]


def agrees(golden: Golden, expected: Scalar | None, found: Scalar | None) -> bool:
    """Whether a value is what the publisher saw: floats within the tolerance, others equal and of the same type."""
    if isinstance(expected, float) or isinstance(found, float):
        if not isinstance(expected, (int, float)) or not isinstance(found, (int, float)):
            return False
        return abs(found - expected) <= golden.absolute + golden.relative * abs(expected)
    return type(expected) is type(found) and expected == found


def _read_tolerance(node: Node) -> float:
    value = node.number()
    if value < 0:
        raise node.fail("a number of at least 0")
    return value


def _read_sample(node: Node) -> Sample:
    fields = node.fields("inputs", "outputs")
    return Sample(fields["inputs"].items(_read_values, at_least=1), fields["outputs"].items(_read_values, at_least=1))


def _read_values(node: Node) -> Values:
    fields = node.fields("name", "datatype", "shape", "data")
    shape = fields["shape"].items(lambda item: item.integer(at_least=0))
    datatype = DATATYPES[fields["datatype"].one_of(*DATATYPES)]
    values = Values(
        name=fields["name"].string(),
        datatype=datatype,
        shape=shape,
        data=fields["data"].items(_read_float if datatype.is_float else _read_scalar),
    )
    count = 1
    for length in shape:
        count *= length
    if len(values.data) != count:
        raise FormatError(
            f"shape {list(shape)} holds {describe(count)} values, found {len(values.data)}", fields["data"].path
        )
    try:
        to_tensor(values, missing=True)
    except InvalidRequest as error:
        raise FormatError(error.message, f"{fields['data'].path}{error.path}") from None
    return values


def _read_float(node: Node) -> float | None:
    return None if node.value is None else node.number()


def _read_scalar(node: Node) -> Any:  # noqa: ANN401 - `to_tensor` refuses what is not of the datatype
    return node.value


def _write_values(values: Values) -> dict[str, object]:
    return {
        "name": values.name,
        "datatype": values.datatype.name,
        "shape": list(values.shape),
        "data": list(values.data),
    }
