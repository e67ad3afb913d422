"""python converting.py LIBRARY: train the library's models, convert each, print how the answers compare as JSON.

A process with the library's environment runs it once for all of its models, as training and conversion share imports.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from typing import Any

import boosters
from pilotlight_cli.converting.child.attempts import prove
from pilotlight_cli.converting.child.compare import document
from pilotlight_cli.converting.child.errors import CannotConvert

ROWS = 10_000


def result(model: Any) -> dict[str, Any]:
    """Convert a model; return how it compares, or why it cannot be converted."""
    try:
        proven = prove(model, "", ROWS)
    except CannotConvert as error:
        return {"refused": str(error)}
    return document(proven.agreement) | {"thresholds": len(proven.rows.features), "notes": list(proven.notes)}


def main(library: str) -> None:
    """Print the results of a library's models."""
    warnings.simplefilter("ignore")
    factories = boosters.FACTORIES[library] | {
        f"refused: {name}": train for name, (train, _) in boosters.REFUSED[library].items()
    }
    found = {}
    for name, train in factories.items():
        try:
            found[name] = result(train())
        except Exception:  # noqa: BLE001 - the test of this model shows it
            found[name] = {"refused": traceback.format_exc()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
