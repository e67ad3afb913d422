"""Runtimes load an artifact into a model. Each imports its library only when it loads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from pilotlight.errors import ModelError, RuntimeMismatch
from pilotlight.model.formats import ENGINES, FORMATS, check_oldest, unsupported
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor


class Model(Protocol):
    """A loaded model. `predict` is thread-safe."""

    def predict(self, inputs: Sequence[Tensor], timeout: float | None = None) -> tuple[Tensor, ...]:
        """Run the model on inputs in the order of its signature, and return outputs in the same order.

        The inputs must have the signature's datatypes and fit its shapes. Raise PredictionTimeout after `timeout`
        seconds where the library can be interrupted: ONNX Runtime between two nodes of a graph, scikit-learn never.
        Raise InvalidRequest, from the library's error, if the model rejects the values. Other errors of the library
        pass through.
        """
        ...


def load(model: Description, folder: Path, threads: int, *, forks: bool = False, device: str = "") -> Model:
    """Load the model whose verified files are in `folder`.

    One prediction may use `threads` threads. `forks`: this process may be forked before the first one. `device`: `cuda`
    is the first GPU, for an engine that can use one; any other text is the processor. Raise ModelError, or the
    library's own error, if the files cannot be served; another try would not help.
    """
    try:
        return _load(model, folder, threads, forks=forks, device=device)
    except SystemExit as error:  # it would end the loading thread without a report
        raise ModelError(f"a library that the model needs exited the process while it was loading ({error})") from error


def _load(model: Description, folder: Path, threads: int, *, forks: bool, device: str) -> Model:
    engine = model.runtime.engine
    if engine not in ENGINES:
        raise ModelError(f"the lock names the engine {engine!r}, expected one of {', '.join(ENGINES)}")
    if lacking := unsupported(engine, model.signature):
        raise ModelError(
            f"the model has {', '.join(lacking)} inputs or outputs, which the engine {engine} does not support; pin it "
            "again without --engine"
        )
    more: dict[str, object] = {"late": True} if forks and _starts_threads_late(model) else {}
    more |= {"device": device} if device and ENGINES[engine].accelerates else {}
    loaded: Model = _module(engine).load(model, folder, threads, **more)
    return loaded


def _starts_threads_late(model: Description) -> bool:
    return ENGINES[model.runtime.engine].forks and FORMATS[model.format].has_session


def preload(model: Description) -> None:
    """Import the runtime's library while the files are being fetched; `load` reports its errors."""
    with suppress(Exception, SystemExit):
        _module(model.runtime.engine).preload(model.runtime.packages)


def _module(engine: str) -> ModuleType:
    """Import an engine's module; a package has the library of one engine alone."""
    return import_module(f"pilotlight.runtimes.{ENGINES[engine].module}")


def check_version(package: str, found: str, packages: Mapping[str, str]) -> None:
    """Raise RuntimeMismatch if a library is too old, or differs from the exact version that the lock names."""
    expected = packages.get(package, found)
    check_oldest("the lock" if package in packages else "this environment", {package: expected})
    if found != expected:
        raise RuntimeMismatch(
            f"{package} {found} is installed, but the lock names {expected}; install what requirements.lock pins"
        )


def check_major(package: str, found: str, packages: Mapping[str, str]) -> None:
    """Raise RuntimeMismatch if a library has another major version than the lock names."""
    expected = packages.get(package)
    if expected is not None and found.partition(".")[0] != expected.partition(".")[0]:
        raise RuntimeMismatch(f"{package} {found} is installed, but the lock names {expected}, another major version")
