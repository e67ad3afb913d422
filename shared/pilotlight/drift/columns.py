"""Which values of a model's inputs and outputs are columns: its features, and each output of one value a row."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from pilotlight.frozen import dataclass
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Datatype

# At most so many features and so many columns of outputs count; those after them do not.
MOST_FEATURES = 1_000
MOST_OUTPUTS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor with columns: its place among the inputs or outputs, the number of its values in a row, the names.

    Of a tensor with more values than names only the first count.
    """

    is_output: bool
    index: int
    datatype: Datatype
    width: int
    names: tuple[str, ...]

    def split(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """Return the columns of a tensor's values, which are flat, in row-major order."""
        return [values[index :: self.width] for index in range(len(self.names))]


def sources_of(signature: Signature) -> tuple[Source, ...]:
    """Return the tensors with columns, the inputs first. Their names are those of files (`pilotlight batch`)."""
    if signature.batch is None:
        return ()
    found = []
    if signature.takes_features:
        width = signature.matrix.shape[1] if signature.matrix else 1
        names = signature.feature_names[:MOST_FEATURES]
        for index, tensor in enumerate(signature.inputs):
            own = names if signature.matrix else names[index : index + 1]
            found.append(Source(False, index, tensor.datatype, width, own))
    left = MOST_OUTPUTS
    for index, output in enumerate(signature.outputs):
        width = prod(output.shape[1:])
        if output.role == "probabilities":
            own = tuple(f"probability_{label}" for label in signature.labels)
        elif output.role == "label" or len(signature.outputs) == 1:
            own = ("prediction",)
        else:
            own = (output.name,)
        if width == len(own):
            found.append(Source(True, index, output.datatype, width, own[:left]))
            left -= len(found[-1].names)
    return tuple(source for source in found if source.names)
