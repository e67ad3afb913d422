"""Reading golden samples that a store, a lock's folder or a package has for a model."""

from __future__ import annotations

from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.signature import Signature
from pilotlight_cli.sandbox.child.samples import input_tensors


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
