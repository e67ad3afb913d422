"""A model's signature: the name, datatype, shape and role of each input and output."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass, derived
from pilotlight.model.json_document import Node, describe
from pilotlight.model.tensor import BOOL, BYTES, DATATYPES, Datatype

INPUT_ROLES = ("features", "tensor")
OUTPUT_ROLES = ("label", "probabilities", "tensor")

Label = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Input:
    """A model's input.

    In `shape`, -1 means any length; a first dimension of `-1` or `1` is the batch. With the role `features`,
    either the only input is a matrix `[-1, n]` whose columns are `feature_names`, or each input is a column, `[-1, 1]`
    or `[-1]`, and its own name is the feature's. A matrix of two columns or more without names has f0, f1 and so on.
    `missing`: a value may be missing; a missing float is NaN, a missing string None.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    role: str
    feature_names: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A model's output; `range` holds the lowest and the highest value that its publisher expects, both included."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    role: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's contract. `labels` are a classifier's classes, in the order of its probabilities' columns."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    labels: tuple[Label, ...] = ()

    @derived
    def takes_features(self) -> bool:
        """Whether an instance is a row of named features."""
        return self.inputs[0].role == "features"

    @derived
    def matrix(self) -> Input | None:
        """The one input whose columns are the features; None if each feature is an input, or for plain tensors."""
        first = self.inputs[0]
        if first.feature_names or (first.role == "features" and len(first.shape) == 2 and first.shape[1] != 1):
            return first
        return None

    @derived
    def width(self) -> int:
        """The number of features, which takes no names to know; 0 for a model of plain tensors."""
        matrix = self.matrix
        return matrix.shape[1] if matrix else len(self.inputs) if self.takes_features else 0

    @derived
    def is_text(self) -> bool:
        """Whether an instance is a single feature of strings, which may come without an array or a name around it."""
        return self.width == 1 and self.inputs[0].datatype is BYTES

    @derived
    def feature_names(self) -> tuple[str, ...]:
        """The features in the order of a list that has them; empty for a model of plain tensors."""
        matrix = self.matrix
        if matrix is not None:
            return matrix.feature_names or _made_up(matrix.shape[1])
        return tuple(tensor.name for tensor in self.inputs) if self.takes_features else ()

    @derived
    def batch(self) -> int | None:
        """-1 if a batch may have any size, 1 for one instance at a time, None without a batch dimension.

        An output that is a single value is that of one instance.
        """
        firsts = {tensor.shape[0] if tensor.shape else 0 for tensor in self.inputs}
        if firsts == {-1} and all(output.shape for output in self.outputs):
            return -1
        return 1 if firsts <= {-1, 1} else None

    @derived
    def label_set(self) -> frozenset[Label]:
        """The labels, to look one up."""
        return frozenset(self.labels)

    @derived
    def places(self) -> Mapping[str, int]:
        """The position of the first output of each role."""
        return {output.role: index for index, output in reversed([*enumerate(self.outputs)])}

    @derived
    def is_classifier(self) -> bool:
        """Whether a prediction is a label, which the model returns or the highest probability names."""
        return any(tensor.role != "tensor" for tensor in self.outputs)

    def output(self, role: str) -> Output | None:
        """Return the first output with that role, or None."""
        place = self.places.get(role)
        return None if place is None else self.outputs[place]


@cache
def _made_up(width: int) -> tuple[str, ...]:
    return tuple(f"f{index}" for index in range(width))


def read_signature(node: Node) -> Signature:
    """Read a signature. Raise FormatError; shared/schema/signature.schema.json is the format."""
    fields = node.fields("inputs", "outputs", optional=("labels",))
    signature = Signature(
        inputs=fields["inputs"].items(_read_input, at_least=1),
        outputs=fields["outputs"].items(_read_output, at_least=1),
        labels=fields["labels"].items(_read_label, at_least=2) if "labels" in fields else (),
    )
    _check_names(signature, node.path)
    _check_roles(signature, node.path)
    return signature


def write_signature(signature: Signature) -> dict[str, object]:
    """Return the JSON form of a signature, which `read_signature` reads."""
    document: dict[str, object] = {
        "inputs": [
            _write_tensor(tensor)
            | ({"feature_names": list(tensor.feature_names)} if tensor.feature_names else {})
            | ({"missing": True} if tensor.missing else {})
            for tensor in signature.inputs
        ],
        "outputs": [
            _write_tensor(tensor) | ({"range": list(tensor.range)} if tensor.range else {})
            for tensor in signature.outputs
        ],
    }
    if signature.labels:
        document["labels"] = list(signature.labels)
    return document


def _write_tensor(tensor: Input | Output) -> dict[str, object]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype.name,
        "shape": list(tensor.shape),
        "role": tensor.role,
    }


def _read_input(node: Node) -> Input:
    fields = node.fields("name", "datatype", "shape", "role", optional=("feature_names", "missing"))
    names = fields["feature_names"].items(_read_name, at_least=1) if "feature_names" in fields else ()
    if len(set(names)) != len(names):
        raise FormatError("duplicate feature name", fields["feature_names"].path)
    return Input(
        name=_read_name(fields["name"]),
        datatype=_read_datatype(fields["datatype"]),
        shape=_read_shape(fields["shape"]),
        role=fields["role"].one_of(*INPUT_ROLES),
        feature_names=names,
        missing=fields["missing"].boolean() if "missing" in fields else False,
    )


def _read_output(node: Node) -> Output:
    fields = node.fields("name", "datatype", "shape", "role", optional=("range",))
    return Output(
        name=_read_name(fields["name"]),
        datatype=_read_datatype(fields["datatype"]),
        shape=_read_shape(fields["shape"]),
        role=fields["role"].one_of(*OUTPUT_ROLES),
        range=_read_range(fields),
    )


def _read_range(fields: Mapping[str, Node]) -> tuple[float, float] | None:
    if "range" not in fields:
        return None
    bounds = fields["range"].items(Node.number)
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise fields["range"].fail("[lowest, highest]")
    return bounds[0], bounds[1]


def _read_name(node: Node) -> str:
    return node.string(r"(?s).+", "a name")


def _read_datatype(node: Node) -> Datatype:
    return DATATYPES[node.one_of(*DATATYPES)]


def _read_shape(node: Node) -> tuple[int, ...]:
    return node.items(lambda item: item.integer(at_least=-1))


def _read_label(node: Node) -> Label:
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str):
        return node.string()
    if not isinstance(node.value, (int, float)):
        raise node.fail("a string, a number or a boolean")
    node.number()
    return node.value


def _check_names(signature: Signature, path: str) -> None:
    for field, names in (
        ("inputs", [tensor.name for tensor in signature.inputs]),
        ("outputs", [tensor.name for tensor in signature.outputs]),
        ("labels", [(isinstance(label, bool), label) for label in signature.labels]),  # True == 1 in Python alone
    ):
        if len(set(names)) != len(names):
            raise FormatError("duplicate name", f"{path}.{field}")


def _check_roles(signature: Signature, path: str) -> None:
    features = [tensor for tensor in signature.inputs if tensor.role == "features"]
    if features and len(features) != len(signature.inputs):
        raise FormatError("expected the role features for all inputs or for none", f"{path}.inputs")
    for index, tensor in enumerate(signature.inputs):
        _check_input(tensor, len(signature.inputs), f"{path}.inputs[{index}]")
    for role in ("label", "probabilities"):
        if sum(tensor.role == role for tensor in signature.outputs) > 1:
            raise FormatError(f"more than one output has the role {role}", f"{path}.outputs")
    label = signature.output("label")
    if label is not None:
        _check_label(label, signature.labels, f"{path}.outputs")
    probabilities = signature.output("probabilities")
    if probabilities is not None:
        _check_probabilities(probabilities, signature.labels, f"{path}.outputs")


def _check_input(tensor: Input, inputs: int, path: str) -> None:
    if tensor.missing and not (tensor.datatype.is_float or tensor.datatype is BYTES):
        raise FormatError(f"{tensor.datatype.name} has no missing values; expected a float or BYTES", path)
    if tensor.role != "features":
        if tensor.feature_names:
            raise FormatError("only an input with the role features may have feature names", path)
        return
    if tensor.feature_names:
        if inputs != 1 or len(tensor.shape) != 2 or tensor.shape[1] != len(tensor.feature_names):
            raise FormatError(
                f"feature names require a single input of shape [-1, {len(tensor.feature_names)}], a column for each "
                f"name; found {inputs} input{'' if inputs == 1 else 's'}, of shape {list(tensor.shape)}",
                path,
            )
        return
    is_column = len(tensor.shape) in (1, 2) and tensor.shape[1:] in ((), (1,))
    is_matrix = inputs == 1 and len(tensor.shape) == 2 and tensor.shape[1] > 1
    if not is_column and not is_matrix:
        raise FormatError(
            "an input without feature names must be one column, of shape [-1, 1] or [-1], or a single matrix of a "
            "known number of columns",
            path,
        )


def _check_label(output: Output, labels: tuple[Label, ...], path: str) -> None:
    if output.shape[1:] not in ((), (1,)) or not output.shape:
        raise FormatError("expected one label for each instance, of shape [-1] or [-1, 1]", path)
    kind = str if output.datatype is BYTES else bool if output.datatype is BOOL else float
    for value in labels:
        same = isinstance(value, kind) or (kind is float and type(value) is int)
        if not same or (output.datatype.is_integer and not _is_within(value, output.datatype)):
            raise FormatError(f"the label {describe(value)} is not valid for {output.datatype.name}", path)


def _is_within(value: Label, datatype: Datatype) -> bool:
    return type(value) is int and datatype.low <= value <= datatype.high


def _check_probabilities(output: Output, labels: tuple[Label, ...], path: str) -> None:
    if not output.datatype.is_float or len(output.shape) != 2 or output.shape[1] != len(labels):
        raise FormatError(
            f"expected probabilities as floats of shape [-1, {len(labels)}], a column for each label", path
        )
