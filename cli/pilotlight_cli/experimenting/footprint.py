"""How large the versions are that one function loads."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import Description
from pilotlight_cli.console import bytes_text


def footprint(models: Sequence[Description]) -> str:
    """Return how large models are that one function loads: their files, and the memory of each as it was published.

    A model without that measurement counts with the least that its format takes.
    """
    size = sum(file.size for model in models for file in model.files)
    memory = ", ".join(f"{model.name}:{model.version} {_memory(model)}" for model in models)
    return f"{len(models)} versions: files of {bytes_text(size)}; memory alone: {memory}"


def _memory(model: Description) -> str:
    if model.needs:
        return f"{model.needs.memory_mb} MB"
    return f"at least {bytes_text(model.files[0].size * FORMATS[model.format].memory)}"
