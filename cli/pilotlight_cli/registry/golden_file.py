"""Reading golden samples, and a reference, that a store, a lock's folder or a package has for a model."""

from __future__ import annotations

from pilotlight.drift.reference import read_reference
from pilotlight.errors import DigestMismatch, FormatError
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.lock import Description, File
from pilotlight.model.signature import Signature
from pilotlight_cli.registry.digests import content_entry, difference
from pilotlight_cli.registry.versions import place
from pilotlight_cli.sandbox.child.samples import input_tensors
from pilotlight_cli.stores import Store


def golden_of(signature: Signature, content: bytes) -> Golden:
    """Parse the bytes of a `golden.json`. Raise FormatError if a sample is not one of a model with that signature."""
    golden = read_golden(content)
    expected = [output.name for output in signature.outputs]
    for number, sample in enumerate(golden.samples, 1):
        input_tensors(sample, signature, f"golden sample {number}")
        names = [values.name for values in sample.outputs]
        if sorted(names) != sorted(expected):
            raise FormatError(
                f"golden sample {number}: found the outputs {', '.join(names)}, expected {', '.join(expected)}", ""
            )
    return golden


def stored_golden(store: Store, model: Description) -> bytes:
    """Return the golden samples of a version in a store. Raise DigestMismatch, or FormatError for another model's."""
    content = _stored(store, model, model.golden)
    try:
        golden_of(model.signature, content)
    except FormatError as error:
        raise error.within(place(store, model.key(model.golden.name))) from None
    return content


def stored_reference(store: Store, model: Description) -> bytes:
    """Return the reference of a version that has one. Raise as `stored_golden` does."""
    if model.reference is None:
        raise FormatError(f"{model.name}:{model.version} has no reference", "")
    content = _stored(store, model, model.reference)
    try:
        read_reference(content, model.signature)
    except FormatError as error:
        raise error.within(place(store, model.key(model.reference.name))) from None
    return content


def _stored(store: Store, model: Description, expected: File) -> bytes:
    """Return the content of a companion in a store. Raise DigestMismatch."""
    key = model.key(expected.name)
    content = store.read(key)
    found = content_entry(expected.name, content)
    if found != expected:
        raise DigestMismatch(
            f"{place(store, key)}: {difference(found, expected)}; the stored file was altered: publish the model again"
        )
    return content
