"""The names that Pilotlight ships as known: what a pickle or a skops file may ask for without its publisher's word."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from pilotlight.errors import ModelError
from pilotlight.pickles.forbidden import forbidden

_FILE = Path(__file__).with_name("admitted_globals.json")


class NotAdmitted(ModelError):
    """A list of names grants itself more than Pilotlight ships, or what nobody may grant."""


def admitted() -> frozenset[str]:
    """The shipped names."""
    return frozenset(json.loads(_FILE.read_bytes()))


def check_admitted(model: str, allowed: Collection[str], extra: Collection[str]) -> None:
    """Hold a manifest's lists against what is shipped: they come from a store and cannot authorise themselves."""
    unknown = sorted(set(allowed) - admitted()) if allowed else []
    if unknown:
        raise NotAdmitted(
            f"the manifest of {model} says that Pilotlight ships {', '.join(unknown)} as known, and it does not. Where "
            "you trust them, publish the model again with --allow for each, which then shows in the lock"
        )
    never = sorted(filter(forbidden, extra))
    if never:
        raise NotAdmitted(
            f"the manifest of {model} allows {', '.join(never)}, which run whatever a file says and which nobody can "
            "allow; save the model without them"
        )
