"""Which engine serves a model: chosen when the model is pinned, written in its lock."""

from __future__ import annotations

from dataclasses import replace

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import FORMATS, PACKAGES, Description, Runtime
from pilotlight.runtimes.onnx.binding import serves

BINDING = "onnxruntime-python"
C_API = "onnxruntime-c"


class EngineRefused(PilotlightError):
    """The engine that was asked for does not serve the model."""


def choose(model: Description, wanted: str | None) -> Runtime:
    """The model's runtime on the engine that is to serve it: `wanted`, or the one that starts fastest.

    A signature has tensors alone, and all of its datatypes go through ONNX Runtime's C API, so that any model that was
    published can be served there. Raises EngineRefused.
    """
    engines = FORMATS[model.format][1]
    if wanted is not None and wanted not in engines:
        raise EngineRefused(
            f"{model.name}:{model.version} is a model in the format {model.format}, which {' and '.join(engines)} "
            f"can serve, and --engine says {wanted}"
        )
    if wanted == BINDING and not serves(model.signature):
        raise EngineRefused(
            f"{model.name}:{model.version} has BF16 at its ends, which numpy and thus {BINDING} have not, and --engine "
            f"says {wanted}; leave it out, and {C_API} serves the model"
        )
    if C_API not in engines or wanted not in (None, C_API):
        return replace(model.runtime, engine=wanted or model.runtime.engine)
    packages = {package: model.runtime.packages[package] for package in PACKAGES[C_API]}
    return replace(model.runtime, engine=C_API, packages=packages)
