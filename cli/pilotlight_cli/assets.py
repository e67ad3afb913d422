"""The files that the command builds from: those of the repository in a checkout, a copy of them in a wheel."""

from __future__ import annotations

from pathlib import Path

import pilotlight

_COPY = Path(__file__).with_name("bundle")  # pyproject.toml names what a wheel puts there

ROOT = _COPY if _COPY.is_dir() else Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
IS_CLONE = ROOT != _COPY
CORE = Path(pilotlight.__file__).resolve().parent
