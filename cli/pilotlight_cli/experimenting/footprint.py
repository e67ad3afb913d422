"""How large the versions are that one function loads."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import Description
from pilotlight_cli.console import bytes_text


def footprint(models: Sequence[Description]) -> str:
    """Return how large models are that one function loads: their files, and the memory that they take at least."""
    size = sum(file.size for model in models for file in model.files)
    memory = sum(model.files[0].size * FORMATS[model.format].memory for model in models)
    return f"{len(models)} versions: files of {bytes_text(size)}, at least {bytes_text(memory)} of memory once loaded"
