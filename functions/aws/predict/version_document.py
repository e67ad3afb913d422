"""A description of this version of the function, for a deployment: its release, its lock, its golden samples.

The event `{"pilotlight": "describe"}` requests it, which only a direct invocation can send: API Gateway and function
URLs put a caller's data into fields of their own event, never at its top level.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1

# Lambda's replies have at most 6 MB; this leaves room for the rest of the document.
_MAX_SAMPLES_BYTES = 5_000_000


def version_document(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the document, whatever the state of the model. `folder` is the package's root.

    `golden` is golden.json's document with as many complete samples as fit into a reply; `samples_left_out` counts the
    others. Raises OSError or ValueError if the package's lock or golden samples cannot be read.
    """
    lock = (folder / environ.get("PILOTLIGHT_LOCK", "model.lock")).read_bytes()
    document = json.loads(lock)
    golden = json.loads((folder / "golden.json").read_bytes())
    samples = _fitting(golden["samples"])
    return {
        "format": FORMAT,
        "function_version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        "release": environ.get("PILOTLIGHT_RELEASE", ""),
        "lock": hashlib.sha256(lock).hexdigest(),
        "model": document,
        "golden": {**golden, "samples": samples},
        "samples_left_out": len(golden["samples"]) - len(samples),
    }


def _fitting(samples: list[Any]) -> list[Any]:
    """Return the first samples, as many as fit into a reply."""
    room, fitting = _MAX_SAMPLES_BYTES, []
    for sample in samples:
        room -= len(json.dumps(sample))
        if room < 0:
            break
        fitting.append(sample)
    return fitting
