"""Loading pickles: their names are listed first, and then only names on a list are loaded, each call checked.

A function makes these checks again, though `publish` and `pin` made them and git pins the digest. A digest says which
bytes were pinned, not that an honest machine checked them: `model.lock` can be edited by hand, or come in a pull
request that shows only a digest and names that every model has. An allow-list alone does not stop such a file: with
admitted names only, it makes a model that answers with the memory at any address (`tests/support/revealing.py`).
`pickle.Unpickler` asks about names alone, and calls and sets states by itself; so a machine of our own does both. It
costs: `python bench/unpickling.py` printed 5.3 times that unpickler's time for a forest of 500 trees, and 2.2 times for
a vectorizer of 50,000 words.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pilotlight.pickles.forbidden import forbidden
from pilotlight.pickles.machine import PickleMachine, check_name
from pilotlight.pickles.opcodes import PickleReader, positions, scan

__all__ = ["forbidden", "loads", "scan"]


def loads(data: bytes, allowed: Collection[str]) -> Any:  # noqa: ANN401 - any object may come out of a pickle
    """Return the object in a pickle that asks for nothing but the `module.name` pairs in `allowed`.

    Raise UnsafePickle for a pickle that asks for more or is broken, and RuntimeMismatch if something that it may ask
    for is not installed. Nothing is imported or called unless all names in the pickle are allowed.
    """
    reader = PickleReader(data)
    for name, position in positions(reader).items():
        check_name(name, allowed, position)
    return PickleMachine(reader, allowed).run()
