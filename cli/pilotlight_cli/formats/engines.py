"""The choice of the engine that serves a model, when it is pinned."""

from __future__ import annotations

from dataclasses import replace

from pilotlight.errors import PilotlightError
from pilotlight.model.formats import ENGINES, FORMATS, unsupported
from pilotlight.model.lock import Description, Runtime
from pilotlight.model.signature import Signature


class EngineRefused(PilotlightError):
    """The requested engine cannot serve the model."""


def supporting(artifact_format: str, signature: Signature) -> list[str]:
    """Return the engines that serve a model of this format and signature, the one that starts fastest first."""
    return [engine for engine in FORMATS[artifact_format].engines if not unsupported(engine, signature)]


def choose(model: Description, engine: str | None) -> Runtime:
    """Return the model's runtime on `engine`, or on the one that starts fastest. Raise EngineRefused."""
    engines = FORMATS[model.format].engines
    if engine is not None and engine not in engines:
        raise EngineRefused(
            f"{model.name}:{model.version}: --engine {engine} cannot serve the format {model.format}; expected "
            f"{' or '.join(engines)}"
        )
    able = supporting(model.format, model.signature)
    if not able or (engine is not None and engine not in able):
        lacking = ", ".join(unsupported(engine or engines[0], model.signature))
        instead = f"leave --engine out to use {able[0]}" if able else "convert it to another datatype"
        raise EngineRefused(
            f"{model.name}:{model.version} has {lacking} inputs or outputs, which {engine or engines[0]} does not "
            f"support; {instead}"
        )
    chosen = ENGINES[engine or able[0]]
    packages = model.runtime.packages
    if chosen.only:
        packages = {package: packages[package] for package in chosen.packages}
    return replace(model.runtime, engine=chosen.name, packages=packages)
