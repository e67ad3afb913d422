"""Rewriting an ONNX model that a function could not serve as it is, and proving that it answers as before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from pilotlight.errors import ModelError, origin
from pilotlight.model.signature import Signature
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.child.onnx_proof import RunOutputs, find_difference
from pilotlight_cli.sandbox.child.onnx_rewriting import (
    LOCALE,
    Rewriting,
    free_batch,
    keep_labels,
    make_tensors,
    set_locale,
    with_float_maps,
)
from pilotlight_cli.sandbox.child.onnx_runtime import idle_options, open_session
from pilotlight_cli.sandbox.child.onnx_trial import Run
from pilotlight_cli.sandbox.job import Job

Prove = Callable[[Sequence[str], Sequence[Run], RunOutputs], None]


@dataclass(frozen=True, slots=True)
class Repaired:
    """A job for the rewritten model, the sentences about its changes, and the proof to run once rows are known.

    `freed` is the size of the batch that was made free, or 0; `joined` are the sequences that became one tensor.
    """

    job: Job
    changes: tuple[str, ...] = ()
    freed: int = 0
    joined: tuple[str, ...] = ()
    prove: Prove | None = None


def fixes_batch(given: Signature | None) -> bool:
    """Return whether the publisher's signature has a batch of a fixed size."""
    return given is not None and any(tensor.shape[:1] > (0,) for tensor in given.inputs)


def repaired(job: Job, *, free: bool) -> Repaired:
    """Rewrite what a function could not serve; with `free`, make a fixed batch free, which the proof may not bear."""
    rewriting = Rewriting(onnx.load(job.path, load_external_data=False))
    floats = with_float_maps(rewriting.model)
    original = written(job, Rewriting(floats), "floats") if floats else job
    set_locale(rewriting)
    if rewriting.locales:
        compared = _opens(original.path)
        rewriting.changes.append(_locale_change(rewriting.locales, compared=compared))
        if not compared:
            relocated = with_float_maps(rewriting.model) or rewriting.model
            original = written(job, Rewriting(relocated), "relocated")
    make_tensors(rewriting)
    keep_labels(rewriting)
    if free:
        free_batch(rewriting)
    if not rewriting.changes:
        return Repaired(job)
    made = written(job, rewriting, "freed" if rewriting.batch else "repaired")
    joined = tuple(end.name for end in rewriting.ends if end.kind in ("stack", "concat"))
    return Repaired(made, tuple(rewriting.changes), rewriting.batch, joined, _proof(original, rewriting))


def explained(form: Repaired, error: ModelError) -> ModelError:
    """Return the error of a form whose sequences cannot be joined."""
    return ModelError(
        f"the sequence {', '.join(map(repr, form.joined))} cannot become one tensor: {error}; export the model with a "
        "tensor for each of its parts, or join them, in PyTorch with torch.stack(parts, dim=1)"
    )


def _proof(original: Job, rewriting: Rewriting) -> Prove:
    def prove(names: Sequence[str], runs: Sequence[Run], again: RunOutputs) -> None:
        if not runs:
            raise ModelError(
                f"no rows can be generated to prove that nothing else changes when {_list(rewriting)}; give rows with "
                "--golden"
            )
        session = open_session(original.path, idle_options("ORT_ENABLE_ALL"))
        try:
            problem = find_difference(session, rewriting, names, runs, again)
        except Exception as error:  # a model can raise any error
            if is_exhaustion(error):
                raise
            problem = f"{type(error).__name__}: {origin(error)}"
        if problem:
            raise ModelError(f"the model answers differently when {_list(rewriting)}: {problem}")

    return prove


def _list(rewriting: Rewriting) -> str:
    return " and ".join(change.partition(":")[0] for change in rewriting.changes)


def _opens(path: Path) -> bool:
    try:
        open_session(path, idle_options("ORT_DISABLE_ALL"))
    except ModelError as error:
        if is_exhaustion(error):
            raise
        return False
    return True


def _locale_change(locales: Sequence[str], *, compared: bool) -> str:
    how = "" if compared else "; this machine lacks it too, so the answers were not compared"
    return f"the locale {', '.join(locales)}, which Amazon Linux lacks, was replaced by {LOCALE}{how}"


def written(job: Job, rewriting: Rewriting, name: str) -> Job:
    """Write the model into a folder of its own, with its external files, and return a job for it."""
    folder = job.folder / name
    path = folder / job.path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rewriting.model.SerializeToString())
    external = tuple(_linked(file, folder / file.relative_to(job.path.parent)) for file in job.external_files)
    return replace(job, path=path, external_files=external)


def _linked(file: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:  # another file system, or another user's file
        shutil.copyfile(file, target)
    return target
