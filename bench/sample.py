"""Paths of the sample's project."""

from __future__ import annotations

from pilotlight.model.golden import read_golden
from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight_cli.assets import ROOT
from pilotlight_cli.project.events import Document, example_request

SAMPLE = ROOT / "examples" / "breast-cancer"
LOCK = SAMPLE / "model.lock"
EVENTS = ROOT / "events"


def sample_request() -> tuple[str, Document]:
    """Return path and body of a request that the sample answers."""
    request = example_request(load_lock(LOCK).model.signature, read_golden(LOCK.with_name(GOLDEN).read_bytes()))
    if request is None:
        raise ValueError("JSON cannot represent the golden samples")
    return request
