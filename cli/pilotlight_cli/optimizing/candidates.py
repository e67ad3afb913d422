"""The forms in which a model could be published, made from the original."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from pilotlight.errors import ModelError
from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import DEFAULT_SESSION, Session
from pilotlight.model.signature import write_signature
from pilotlight_cli.sandbox.child.onnx_metadata import SIGNATURE, WRITER, mark, write_session
from pilotlight_cli.sandbox.inspection import Inspection
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import Limits

# The names of a candidate's files: the model, and the tensors that a load maps.
MODEL: Final = "model.onnx"
DATA: Final = "model.data"

# Above this many bytes tensors get a file of their own: a protocol buffer and a flatbuffer are limited to 2 GiB, and no
# model that large was faster from one file.
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
    format: str = "onnx"


@dataclass(frozen=True, slots=True)
class Writing:
    """Where and how candidates are written: the folder, the packages and limits of the processes that write them."""

    folder: Path
    packages: Path
    limits: Limits

    def write(self, path: Path, folder: str, file: str, **options: str) -> tuple[Path, ...]:
        """Write the optimised model to a new folder; return its files. Raises ModelError."""
        target = self.folder / folder / file
        target.parent.mkdir()
        job: dict[str, Any] = {"path": str(path), "file": str(target), "data": "", "format": "onnx", **options}
        written = run_task("optimize", job, self.packages, target.parent, path.name, limits=self.limits)
        return target, *map(Path, written["external_files"])


def make_candidates(
    inspection: Inspection, writing: Writing, *, one_file: bool
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Make the candidates; return them, the original first, and notes on failures.

    With `one_file` those in ONNX Runtime's own format, one file each. Raise UsageError for a model too large for that.
    """
    original = _candidate("as it is", inspection.files, DEFAULT_SESSION)
    if one_file and original.size > _LARGEST_IN_ONE_FILE:
        raise UsageError(
            f"the model has {original.size} bytes, expected at most {_LARGEST_IN_ONE_FILE} for --one-file; leave it out"
        )
    made, notes = [original], []
    try:
        for candidate in _in_one_file(inspection, writing) if one_file else _with_data(original, writing):
            made.append(candidate)  # noqa: PERF402 - those before a failure are kept
    except ModelError as error:
        notes.append(str(error))
    return tuple(made), tuple(notes)


def _with_data(original: Candidate, writing: Writing) -> Iterator[Candidate]:
    path, *external_files = original.files
    mapped = writing.write(path, "mapped", MODEL, data=DATA)
    if len(mapped) == 1:  # no large tensors
        yield _candidate("optimised", mapped, _READY)
        yield _candidate("not prepacked", mapped, _READY_AND_PLAIN)
        return
    # A model with external tensors would still refer to their old location.
    if not external_files and original.size <= _LARGEST_IN_ONE_FILE:
        yield _candidate("optimised", writing.write(path, "single", MODEL), _READY)
    yield _candidate("mapped", mapped, _READY)
    yield _candidate("mapped, not prepacked", mapped, _READY_AND_PLAIN)
    yield _candidate("mapped, fitted at load", mapped, DEFAULT_SESSION)


def _in_one_file(inspection: Inspection, writing: Writing) -> Iterator[Candidate]:
    for name, session in (("one file", _READY), ("one file, not prepacked", _READY_AND_PLAIN)):
        with _marked(inspection, session) as path:
            files = writing.write(path, name, FORMATS["ort"].file_name, format="ort")
        yield _candidate(name, files, session, "ort")


@contextmanager
def _marked(inspection: Inspection, session: Session) -> Iterator[Path]:
    """Yield a copy of the model, beside its external data, whose metadata says what ONNX Runtime's own format does not.

    In that format metadata cannot be added, and the graph does not show what a signature was guessed from.
    """
    path = inspection.files[0]
    signature = json.dumps(write_signature(inspection.signature))
    release = inspection.runtime.packages["onnxruntime"]
    with NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}-", suffix=".onnx") as copy:
        marked = Path(copy.name)
        shutil.copyfile(path, marked)
        mark(marked, write_session(session) | {SIGNATURE: signature, WRITER: release})
        yield marked


def _candidate(name: str, files: tuple[Path, ...], session: Session, artifact_format: str = "onnx") -> Candidate:
    return Candidate(name, files, sum(file.stat().st_size for file in files), session, artifact_format)
