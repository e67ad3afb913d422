"""The extras of the package `pilotlight`, which the light install leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pilotlight.errors import PilotlightError


class MissingExtra(PilotlightError):
    """A package of an extra is not installed; the message has the command that installs it."""


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Import packages of an extra. Raise MissingExtra if one is missing; `what` needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} needs {error.name}: pip install 'pilotlight[{extra}]'") from None
