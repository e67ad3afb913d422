"""The forms in which a model could be published, made from the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError
from pilotlight.model.lock import DEFAULT_SESSION, Session
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.limits import Limits

# The names of a candidate's files: the model, and the tensors that a load maps.
MODEL: Final = "model.onnx"
DATA: Final = "model.data"

# Above this many bytes tensors get a file of their own: a protocol buffer is limited to 2 GiB, and no model that large
# was faster from one file.
_LARGEST_IN_ONE_FILE: Final = 1_000_000_000

_READY: Final = Session("off", prepacking=True)
_READY_AND_PLAIN: Final = Session("off", prepacking=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form of the model. `files` starts with the model's own, `size` is their total in bytes."""

    name: str
    files: tuple[Path, ...]
    size: int
    session: Session


def make_candidates(
    files: Sequence[Path], folder: Path, packages: Path, limits: Limits
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Make the candidates in `folder`; return them, the original first, and notes on failures."""
    path, *external_files = files
    original = _candidate("as it is", (path, *external_files), DEFAULT_SESSION)
    made: list[Candidate] = []
    notes: list[str] = []
    try:
        mapped = _write(path, folder / "mapped", DATA, packages, limits)
        if len(mapped) == 1:  # no large tensors
            made += [
                _candidate("optimised", mapped, _READY),
                _candidate("not prepacked", mapped, _READY_AND_PLAIN),
            ]
        else:
            # A model with external tensors would still refer to their old location.
            if not external_files and original.size <= _LARGEST_IN_ONE_FILE:
                single = _write(path, folder / "single", "", packages, limits)
                made.append(_candidate("optimised", single, _READY))
            made += [
                _candidate("mapped", mapped, _READY),
                _candidate("mapped, not prepacked", mapped, _READY_AND_PLAIN),
                _candidate("mapped, fitted at load", mapped, DEFAULT_SESSION),
            ]
    except ModelError as error:
        notes.append(str(error))
    return (original, *made), tuple(notes)


def _candidate(name: str, files: tuple[Path, ...], session: Session) -> Candidate:
    return Candidate(name, files, sum(file.stat().st_size for file in files), session)


def _write(path: Path, folder: Path, data: str, packages: Path, limits: Limits) -> tuple[Path, ...]:
    """Write the optimised model; return its files. Raises ModelError, also for an inconsistent model."""
    folder.mkdir()
    file = folder / MODEL
    job: dict[str, Any] = {"path": str(path), "file": str(file), "data": data}
    written = run_task("optimize", job, packages, folder, path.name, limits=limits)
    return file, *map(Path, written["external_files"])
