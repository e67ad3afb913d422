"""python converting.py LIBRARY FOLDER: train the library's models, convert each, print how the answers compare as JSON.

The models go to FOLDER/NAME.onnx, the rows that they were compared on and the library's answers to FOLDER/NAME.npz.
A process with the library's environment runs it once for all of its models, as training and conversion share imports.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import boosters
from pilotlight_cli.converting.child.attempts import prove
from pilotlight_cli.converting.child.compare import document
from pilotlight_cli.converting.child.errors import CannotConvert

ROWS = 10_000


def result(model: Any, path: Path | None = None) -> dict[str, Any]:
    """Convert a model and write it, if there is a path; return how it compares, or why it cannot be converted."""
    try:
        proven = prove(model, None, ROWS)
    except CannotConvert as error:
        return {"refused": str(error)}
    if path:
        path.with_suffix(".onnx").write_bytes(proven.model.SerializeToString())
        proven.rows.save(path.with_suffix(".npz"))
    return document(proven.agreement) | {"thresholds": len(proven.rows.features), "notes": list(proven.notes)}


def main(library: str, folder: str) -> None:
    """Write a library's models and print the results."""
    warnings.simplefilter("ignore")
    factories = boosters.FACTORIES[library] | {
        f"refused: {name}": train for name, (train, _) in boosters.REFUSED[library].items()
    }
    found = {}
    for name, train in factories.items():
        try:
            found[name] = result(train(), Path(folder) / name)
        except Exception:  # noqa: BLE001 - the test of this model shows it
            found[name] = {"refused": traceback.format_exc()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
