"""A first prediction at the start: it takes longer than those that follow."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import FormatError, ModelError, origin
from pilotlight.model.golden import Golden, read_golden, to_tensor
from pilotlight.model.lock import Description
from pilotlight.runtimes import Model


def prime(model: Model, described: Description, file: Path) -> None:
    """Run the first golden sample in `file`, if there is one.

    Raises ModelError if the model fails, FormatError if the file cannot be read. The outputs are not compared with the
    sample: that is the deployment's task, and an instance with wrong predictions is better than none.
    """
    samples = _read(file).samples
    if not samples:
        return
    given = {values.name: values for values in samples[0].inputs}
    try:
        inputs = [to_tensor(given[tensor.name], missing=tensor.missing) for tensor in described.signature.inputs]
        model.predict(inputs)
    except Exception as error:
        raise ModelError(
            f"the model fails on the first sample in {file.name}: {type(error).__name__}: {origin(error)}; "
            "'pilotlight verify' tries all of them"
        ) from error


def _read(file: Path) -> Golden:
    try:
        return read_golden(file.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot be read ({error.strerror}); 'pilotlight pin' writes it", "", file.name) from None
    except FormatError as error:
        raise error.within(file.name) from None
