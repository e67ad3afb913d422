"""What this version of the function is, for who deploys it: its release, its lock, its golden samples.

Asked by the event `{"pilotlight": "describe"}`, which only an invocation of Lambda itself can be: API Gateway and
function URLs put what a caller sends into fields of their own event, never at its top.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1

# Lambda's reply takes 6 MB; this leaves room for what is not a sample.
_MAX_SAMPLES_BYTES = 5_000_000


def version_document(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The answer, whatever the state of the model. `folder` is the package's root.

    `golden` is golden.json's document with as many whole samples as fit into a reply; `samples_left_out` counts the
    others. Raises OSError or ValueError where the package has no lock and no golden samples that can be read.
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
    """The first samples, as many as Lambda's reply takes."""
    room, fitting = _MAX_SAMPLES_BYTES, []
    for sample in samples:
        room -= len(json.dumps(sample))
        if room < 0:
            break
        fitting.append(sample)
    return fitting
