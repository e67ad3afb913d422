"""What changes in a model's contract, and what of it breaks callers: pure functions of two signatures.

A change is breaking if a request that was answered can become a 400 or a 404, or if its reply reads differently.
docs/guides/pin-and-verify.md has the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

from pilotlight.frozen import dataclass
from pilotlight.model.lock import Description
from pilotlight.model.signature import Input, Output, Signature

Kind: TypeAlias = Literal[
    "another model",
    "features added",
    "features removed",
    "features renamed",
    "features in another order",
    "features in another form",
    "input added",
    "input removed",
    "input renamed",
    "input's datatype",
    "input's shape",
    "input's shape, wider",
    "input's role",
    "missing values refused",
    "missing values accepted",
    "output added",
    "probabilities added",
    "output removed",
    "output renamed",
    "outputs in another order",
    "output's datatype",
    "output's shape",
    "output's role",
    "output's range",
    "labels added",
    "labels removed",
    "labels in another order",
]

# Each kind of change, and how it breaks a caller; empty if it does not.
RULES: Final[dict[Kind, str]] = {
    "another model": "its routes of V1 and V2, and its replies, have another name",
    "features added": "a row without them is a 400",
    "features removed": "a row with them is a 400",
    "features renamed": "a row with the names before is a 400",
    "features in another order": "a row as a list is read differently",
    "features in another form": "a V2 request with the tensors before may be a 400",
    "input added": "a request without it is a 400",
    "input removed": "a request with it is a 400",
    "input renamed": "a V2 request with the name before is a 400",
    "input's datatype": "a V2 request with the datatype before may be a 400",
    "input's shape": "a request with the lengths before is a 400",
    "input's shape, wider": "",
    "input's role": "an instance has another form",
    "missing values refused": "a row with a missing value is a 400",
    "missing values accepted": "",
    "output added": "/predict may answer in another form",
    "probabilities added": "",
    "output removed": "the reply lacks it",
    "output renamed": "a V2 client does not find it",
    "outputs in another order": "a V2 client may read them by position",
    "output's datatype": "the reply has values of another type",
    "output's shape": "the reply has other lengths",
    "output's role": "/predict answers in another form",
    "output's range": "",
    "labels added": "the reply can have a label that callers do not know",
    "labels removed": "the probabilities have other columns",
    "labels in another order": "the probabilities have another order",
}

_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a contract: its kind, the input or output that it is about, if any, and texts before and after."""

    kind: Kind
    name: str
    before: str
    after: str

    @property
    def breaks(self) -> str:
        """How the change breaks a caller; empty if it does not."""
        return RULES[self.kind]

    @property
    def text(self) -> str:
        """The change on one line."""
        about = f" of {self.name}" if self.name else ""
        return f"{self.kind}{about} ({self.before} -> {self.after})"

    def document(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "change": self.kind,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "breaks": self.breaks,
        }


def model_changes(before: Description, after: Description) -> tuple[Change, ...]:
    """Return what a caller can notice of the contract if one pinned version replaces another."""
    another = (Change("another model", "", before.name, after.name),) if before.name != after.name else ()
    return (*another, *contract_changes(before.signature, after.signature))


def contract_changes(before: Signature, after: Signature) -> tuple[Change, ...]:
    """Return what changes from one signature to another: inputs, outputs, labels."""
    return (*_inputs(before, after), *_outputs(before, after), *_labels(before, after))


def paired_outputs(before: Signature, after: Signature) -> list[tuple[Output, Output]]:
    """Pair the outputs that mean the same: by name, then labels and probabilities by role, then a single one left."""
    new = {tensor.name: tensor for tensor in after.outputs}
    pairs = {tensor.name: new[tensor.name] for tensor in before.outputs if tensor.name in new}
    left = [tensor for tensor in before.outputs if tensor.name not in pairs]
    other = [tensor for tensor in after.outputs if tensor not in pairs.values()]
    for role in ("label", "probabilities", "tensor"):
        mine, theirs = [one for one in left if one.role == role], [one for one in other if one.role == role]
        if len(mine) == len(theirs) == 1:
            pairs[mine[0].name] = theirs[0]
    return [(tensor, pairs[tensor.name]) for tensor in before.outputs if tensor.name in pairs]


def _inputs(before: Signature, after: Signature) -> Iterator[Change]:
    if before.takes_features and after.takes_features:
        yield from _features(before.feature_names, after.feature_names)
        if before.matrix and after.matrix:
            yield from _input(before.matrix, after.matrix, width=False)
            return
        if before.matrix or after.matrix:
            yield Change("features in another form", "", _form(before), _form(after))
            return
    old, new = ({tensor.name: tensor for tensor in signature.inputs} for signature in (before, after))
    columns = before.takes_features and after.takes_features  # which are reported as features
    for name, tensor in old.items():
        if name in new:
            yield from _input(tensor, new[name])
        elif not columns:
            yield Change("input removed", name, _described(tensor), "none")
    for name in [] if columns else [name for name in new if name not in old]:
        yield Change("input added", name, "none", _described(new[name]))


def _features(before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    gone, come = [name for name in before if name not in after], [name for name in after if name not in before]
    in_place = [name in gone for name in before] == [name in come for name in after]
    if gone and in_place:
        yield Change("features renamed", "", _listed(gone), _listed(come))
        return
    if gone:
        yield Change("features removed", "", _listed(gone), "none")
    if come:
        yield Change("features added", "", "none", _listed(come))
    kept = [name for name in after if name in before]
    if kept != [name for name in before if name in after]:
        yield Change("features in another order", "", _listed(before), _listed(after))


def _input(old: Input, new: Input, *, width: bool = True) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("input renamed", "", old.name, new.name)
    if old.datatype is not new.datatype:
        yield Change("input's datatype", new.name, old.datatype.name, new.datatype.name)
    if old.role != new.role:
        yield Change("input's role", new.name, old.role, new.role)
    shapes = (old.shape, new.shape) if width else (old.shape[:1], new.shape[:1])  # features are reported by name
    if shapes[0] != shapes[1]:
        kind: Kind = "input's shape, wider" if _is_wider(*shapes) else "input's shape"
        yield Change(kind, new.name, _shape(old.shape), _shape(new.shape))
    if old.missing != new.missing:
        kind = "missing values accepted" if new.missing else "missing values refused"
        yield Change(kind, new.name, *("accepted" if tensor.missing else "refused" for tensor in (old, new)))


def _is_wider(old: Sequence[int], new: Sequence[int]) -> bool:
    return len(old) == len(new) and all(after in (-1, length) for length, after in zip(old, new, strict=True))


def _outputs(before: Signature, after: Signature) -> Iterator[Change]:
    pairs = paired_outputs(before, after)
    old, new = [mine for mine, _ in pairs], [theirs for _, theirs in pairs]
    for tensor in before.outputs:
        if tensor not in old:
            yield Change("output removed", tensor.name, _described(tensor), "none")
    for mine, theirs in pairs:
        yield from _output(mine, theirs)
    for tensor in after.outputs:
        if tensor not in new:
            harmless = tensor.role == "probabilities" and before.output("label") is not None
            kind: Kind = "probabilities added" if harmless else "output added"
            yield Change(kind, tensor.name, "none", _described(tensor))
    if [tensor for tensor in after.outputs if tensor in new] != new:
        yield Change(
            "outputs in another order", "", *(_listed([one.name for one in s.outputs]) for s in (before, after))
        )


def _output(old: Output, new: Output) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("output renamed", "", old.name, new.name)
    if old.datatype is not new.datatype:
        yield Change("output's datatype", new.name, old.datatype.name, new.datatype.name)
    if old.role != new.role:
        yield Change("output's role", new.name, old.role, new.role)
    if old.shape != new.shape and not old.role == new.role == "probabilities":  # these are reported as labels
        yield Change("output's shape", new.name, _shape(old.shape), _shape(new.shape))
    if old.range != new.range:
        yield Change("output's range", new.name, _range(old), _range(new))


def _labels(before: Signature, after: Signature) -> Iterator[Change]:
    old, new = ([_label(label) for label in signature.labels] for signature in (before, after))
    gone, come = [label for label in old if label not in new], [label for label in new if label not in old]
    if gone:
        yield Change("labels removed", "", _listed(gone), "none")
    if come:
        yield Change("labels added", "", "none", _listed(come))
    if [label for label in old if label in new] != [label for label in new if label in old]:
        yield Change("labels in another order", "", _listed(old), _listed(new))


def _label(label: object) -> str:
    return label if isinstance(label, str) else json.dumps(label)


def _form(signature: Signature) -> str:
    count = len(signature.inputs)
    return _described(signature.matrix) if signature.matrix else f"{count} column{'' if count == 1 else 's'}"


def _described(tensor: Input | Output) -> str:
    return f"{tensor.datatype.name} {_shape(tensor.shape)}, {tensor.role}"


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join('any' if length < 0 else str(length) for length in shape)}]"


def _range(output: Output) -> str:
    return f"{output.range[0]:g} to {output.range[1]:g}" if output.range else "none"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
