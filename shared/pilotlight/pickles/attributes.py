"""Names that no attribute may have, because an object of an admitted class reaches memory by them."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any, Final

# Dictionaries whose keys are never attributes.
_MAPPINGS: Final = frozenset({dict, OrderedDict, defaultdict, Counter})


class Refused(ValueError):
    """A call or a state that no honest pickle holds; the message says what was expected."""


def check_names(state: object) -> None:
    """Raise Refused for a name that begins with `__` wherever a state holds attributes.

    Python and numpy look such names up on objects: `__array_interface__` on an instance is an address to read from.
    """
    for part in state if type(state) is tuple else (state,):
        if isinstance(part, dict):
            _check_keys(part)


def check_attributes(instance: object) -> None:
    """Raise Refused for an object with an attribute whose name begins with `__`, whatever set it."""
    fields = getattr(instance, "__dict__", None)
    if fields:
        _check_keys(fields)
    if isinstance(instance, dict) and type(instance) not in _MAPPINGS:  # a Bunch has its items for attributes
        _check_keys(instance)


def _check_keys(names: Iterable[Any]) -> None:
    for name in names:
        if isinstance(name, str) and name.startswith("__"):
            raise Refused(f"expected no attribute with a name like {name}")
