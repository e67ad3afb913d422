"""Paths in a checkout."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FUNCTIONS = PROJECT / "functions"
CORE = PROJECT / "shared" / "pilotlight"
BUILD = PROJECT / "build"
LOCK = PROJECT / "model.lock"
EVENTS = PROJECT / "events"
SAMPLE = PROJECT / "examples" / "breast-cancer"

CLOUDS = ("aws", "gcp")
