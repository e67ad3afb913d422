"""Pickles without their power: what a pickle asks for is listed first, and only what a list names is then loaded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pilotlight.pickles.forbidden import forbidden
from pilotlight.pickles.machine import PickleMachine, check_name
from pilotlight.pickles.opcodes import PickleReader, positions, scan

__all__ = ["forbidden", "loads", "scan"]


def loads(data: bytes, allowed: Collection[str]) -> Any:  # noqa: ANN401 - any object may come out of a pickle
    """The object in a pickle that asks for nothing but the `module.name` pairs in `allowed`.

    Raises UnsafePickle for a pickle that asks for more or is broken, and RuntimeMismatch when something that it may ask
    for is not installed. Nothing at all is imported or called unless the whole pickle asks for allowed names only.
    """
    reader = PickleReader(data)
    for name, position in positions(reader).items():
        check_name(name, allowed, position)
    return PickleMachine(reader, allowed).run()
