"""ONNX models loaded on an engine, without a lock around them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from doubles import description
from pilotlight import runtimes
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import DEFAULT_SESSION, File, Runtime, Session
from pilotlight.model.signature import Signature
from pilotlight.runtimes import Model

ENGINES = FORMATS["onnx"].engines


def load(
    engine: str,
    file: Path,
    signature: Signature,
    packages: dict[str, str] | None = None,
    *,
    session: Session = DEFAULT_SESSION,
    beside: str = "",
    artifact_format: str = "onnx",
    threads: int = 1,
    forks: bool = False,
) -> Model:
    """Load the model in a file on an engine, as a function would; its lock also lists the file `beside`."""
    content = file.read_bytes()
    model = dataclasses.replace(
        description(signature, content),
        format=artifact_format,
        files=tuple(File(name, 1, "0" * 64) for name in (file.name, beside) if name),
        runtime=Runtime("onnx", engine, packages or {}, session),
    )
    return runtimes.load(model, file.parent, threads=threads, forks=forks)
