"""Runtimes turn an artifact into a loaded model. Each imports its library when, and only when, it loads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.model.formats import ENGINES, check_oldest, unsupported
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor


class Model(Protocol):
    """A loaded model. Threads may call `predict` at the same time."""

    def predict(self, inputs: Sequence[Tensor], timeout: float | None = None) -> tuple[Tensor, ...]:
        """Run the model on its inputs, in the order of its signature; the outputs come in theirs.

        The inputs have the signature's datatypes and fit its shapes. After `timeout` seconds the run is ended and
        PredictionTimeout raised, where the library can be interrupted: ONNX Runtime can between two nodes of a graph,
        scikit-learn cannot. InvalidRequest is raised where the model does not take the values, and its cause is what
        the library says; anything else that the library raises comes through as it is.
        """
        ...


def load(model: Description, folder: Path, threads: int) -> Model:
    """Load the model whose verified files lie in `folder`.

    `threads` is how many threads one prediction may use. Raises ModelError, or what the library itself raises, when the
    files cannot be served: trying again would not help.
    """
    try:
        return _load(model, folder, threads)
    except SystemExit as error:  # it would end the thread that loads, and nobody would be told
        raise ModelError(f"a library that the model needs ended the process while it was loaded ({error})") from error


def _load(model: Description, folder: Path, threads: int) -> Model:
    engine = model.runtime.engine
    if engine not in ENGINES:
        raise ModelError(f"the lock names the engine {engine!r}, expected one of {', '.join(ENGINES)}")
    if lacking := unsupported(engine, model.signature):
        raise ModelError(
            f"the model has {', '.join(lacking)} inputs or outputs, which the engine {engine} does not support; pin it "
            "again without --engine"
        )
    loaded: Model = _module(engine).load(model, folder, threads)
    return loaded


def preload(model: Description) -> None:
    """Get the runtime's library ready while the files are on their way; `load` reports what is wrong with it."""
    with suppress(Exception, SystemExit):
        _module(model.runtime.engine).preload(model.runtime.packages)


def _module(engine: str) -> ModuleType:
    """Import an engine's module; a package has the library of one engine alone."""
    return import_module(f"pilotlight.runtimes.{ENGINES[engine].module}")


def check_version(package: str, found: str, packages: Mapping[str, str]) -> None:
    """Refuse a library that is too old, and another version than exactly the one that the lock names, if it does."""
    expected = packages.get(package, found)
    check_oldest("the lock" if package in packages else "this environment", {package: expected})
    if found != expected:
        raise RuntimeMismatch(
            f"{package} {found} is installed and the lock names {expected}; install what requirements.lock pins"
        )


def check_major(package: str, found: str, packages: Mapping[str, str]) -> None:
    """Refuse a library of another major version than the lock names, where it names one."""
    expected = packages.get(package)
    if expected is not None and found.partition(".")[0] != expected.partition(".")[0]:
        raise RuntimeMismatch(f"{package} {found} is installed and the lock names {expected}, another major version")
