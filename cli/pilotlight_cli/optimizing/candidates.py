"""The forms in which a model could be published, made from the one that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError
from pilotlight.model.lock import DEFAULT_SESSION, Session
from pilotlight_cli.sandbox.isolation import ask
from pilotlight_cli.sandbox.limits import Limits

# What a candidate's files are called: the model, and the tensors that a load maps.
MODEL: Final = "model.onnx"
DATA: Final = "model.data"

# Above this many bytes tensors are kept out of the model's own file: a protocol buffer has to end at 2 GiB, and
# nothing that large was ever quicker from one file.
_LARGEST_IN_ONE_FILE: Final = 1_000_000_000

_READY: Final = Session("off", prepacking=True)
_READY_AND_PLAIN: Final = Session("off", prepacking=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form of the model. `files` begin with the model's own, `size` is all their bytes."""

    name: str
    files: tuple[Path, ...]
    size: int
    session: Session


def make_candidates(
    files: Sequence[Path], folder: Path, packages: Path, limits: Limits
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """The candidates, the original first, and notes on those that could not be made; their files lie in `folder`."""
    path, *companions = files
    original = _candidate("as it is", (path, *companions), DEFAULT_SESSION)
    made: list[Candidate] = []
    notes: list[str] = []
    try:
        mapped = _write(path, folder / "mapped", DATA, packages, limits)
        if len(mapped) == 1:  # there was nothing large to lay beside it
            made += [
                _candidate("optimised", mapped, _READY),
                _candidate("not prepacked", mapped, _READY_AND_PLAIN),
            ]
        else:
            # A model with tensors in other files would go on pointing to them, where they are not.
            if not companions and original.size <= _LARGEST_IN_ONE_FILE:
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
    """The optimised model's files. Raises ModelError, also for a model that does not hold together."""
    folder.mkdir()
    file = folder / MODEL
    job: dict[str, Any] = {"path": str(path), "file": str(file), "data": data}
    written = ask("optimize", job, packages, folder, path.name, limits=limits)
    return file, *map(Path, written["companions"])
