"""The globals that Pilotlight ships as allowed: those that any pickle or skops file may import."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from pilotlight.errors import ModelError
from pilotlight.pickles.forbidden import forbidden

_FILE = Path(__file__).with_name("admitted_globals.json")


class NotAdmitted(ModelError):
    """A manifest allows more globals or packages than it may."""


def admitted_globals() -> frozenset[str]:
    """Return the shipped names."""
    return frozenset(json.loads(_FILE.read_bytes()))


def check_admitted(model: str, allowed: Collection[str], extra: Collection[str]) -> None:
    """Raise NotAdmitted for more globals than are shipped: a list from a store cannot authorise itself."""
    unknown = sorted(set(allowed) - admitted_globals()) if allowed else []
    if unknown:
        raise NotAdmitted(
            f"the manifest of {model} lists {', '.join(unknown)} as allowed by Pilotlight, which does not allow them. "
            "If you trust them, publish the model again with --allow for each, which the lock then shows"
        )
    never = sorted(filter(forbidden, extra))
    if never:
        raise NotAdmitted(
            f"the manifest of {model} allows {', '.join(never)}, which can run any code and cannot be allowed; save "
            "the model without them"
        )
