"""Chooses the engine that serves a model: when the model is pinned, for its lock."""

from __future__ import annotations

from dataclasses import replace

from pilotlight.errors import PilotlightError
from pilotlight.model.formats import ENGINES, FORMATS, unsupported
from pilotlight.model.lock import Description, Runtime
from pilotlight.model.signature import Signature


class EngineRefused(PilotlightError):
    """The engine that was asked for does not serve the model."""


def supporting(artifact_format: str, signature: Signature) -> list[str]:
    """Return the engines that serve a model of this format and signature, the one that starts fastest first."""
    return [engine for engine in FORMATS[artifact_format].engines if not unsupported(engine, signature)]


def choose(model: Description, wanted: str | None) -> Runtime:
    """Return the model's runtime on the engine that is to serve it: `wanted`, or the one that starts fastest.

    Raise EngineRefused where that engine does not serve the model.
    """
    engines = FORMATS[model.format].engines
    who = f"{model.name}:{model.version}"
    if wanted is not None and wanted not in engines:
        raise EngineRefused(
            f"{who} is in the format {model.format}, which {' and '.join(engines)} can serve, but --engine is {wanted}"
        )
    able = supporting(model.format, model.signature)
    if not able or (wanted is not None and wanted not in able):
        lacking = ", ".join(unsupported(wanted or engines[0], model.signature))
        instead = f"leave out --engine, and {able[0]} serves the model" if able else "convert it to another datatype"
        raise EngineRefused(
            f"{who} has {lacking} inputs or outputs, which {wanted or engines[0]} does not support; {instead}"
        )
    engine = ENGINES[wanted or able[0]]
    packages = model.runtime.packages
    if engine.only:
        packages = {package: packages[package] for package in engine.packages}
    return replace(model.runtime, engine=engine.name, packages=packages)
