"""What `publish` finds out about a model file: its format, its signature, its samples, the versions that it needs.

All that reads it is a process of its own (`isolation`): first one that tells by its bytes alone what it is, then one
that loads it, with the libraries that it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GLOBAL, Runtime
from pilotlight.model.signature import Signature
from pilotlight.pickles.forbidden import forbidden
from pilotlight_cli.formats.admitted import admitted
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import Recognised, read_recognised
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.registry.json_document import decoded
from pilotlight_cli.regular_files import check_regular, file_states
from pilotlight_cli.sandbox.isolation import ask, scratch
from pilotlight_cli.sandbox.job import Job, UsageError, read_findings, write_job
from pilotlight_cli.sandbox.limits import DEFAULT, Allowance

__all__ = ["Inspection", "UsageError", "inspect"]

_KNOWN_ROOTS: Final = frozenset({"_loss", "numpy", "scipy", "sklearn"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model file as it is to be published. `files[0]` is what the runtime opens; `notes` say what was guessed."""

    format: str
    files: tuple[Path, ...]
    runtime: Runtime
    signature: Signature
    golden: Golden
    allowed_globals: tuple[str, ...] = ()
    extra_globals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def inspect(
    path: Path,
    *,
    format: str | None,  # noqa: A002 - the option's name
    signature: bytes | None,
    golden: bytes | None,
    allow: Sequence[str],
    allowance: Allowance = DEFAULT,
) -> Inspection:
    """Look into the model file at `path`; `signature` and `golden` are the contents of the publisher's own files.

    `files` are those that were looked into, with nothing else beside them, so that what loads is what is published; one
    may have been saved again. Their folder lasts as long as this process. Raises NotRecognised, UsageError (the options
    do not go with the file), ModelError (the model cannot be served), UnsafePickle, FormatError, or InstallError.
    """
    _check_allowed(allow)
    path = path.absolute()
    found = recognised(path, allowance)
    before = file_states((path, *found.companions))
    providers = _providers(allow)
    folder = scratch()
    given, *companions = _gather((path, *found.companions), folder / "given")
    job = Job(
        path=given,
        kind=found.kind,
        wanted=format or "",
        signature=decoded(signature or b"", "the signature"),
        golden=decoded(golden or b"", "the golden samples"),
        admitted=admitted(),
        allow=tuple(dict.fromkeys(allow)),
        folder=folder,
        companions=tuple(companions),
        numpy_major=found.numpy_major,
        packages=tuple(providers),
        labels=found.labels,
        words=found.words,
    )
    packages = host_packages([*KINDS[found.kind].requirements(path.name, found), *providers.values()])
    limits = allowance.limits(found.size)
    answer = read_findings(ask("look", write_job(job), packages, job.folder, path.name, limits=limits))
    if file_states(before) != before:
        raise ModelError(f"{path} changed while it was inspected; do it again once it is whole")
    allowed, extra = answer.names
    return Inspection(
        format=answer.format,
        files=(answer.path, *companions),
        runtime=answer.runtime,
        signature=answer.signature,
        golden=answer.golden,
        allowed_globals=allowed,
        extra_globals=extra,
        notes=answer.notes,
    )


def recognised(path: Path, allowance: Allowance = DEFAULT) -> Recognised:
    """What the file at `path` is. Raises UsageError for what is no file, NotRecognised or ModelError."""
    limits = allowance.limits(check_regular(path).st_size)
    return read_recognised(ask("recognise", {"path": str(path)}, None, scratch(), path.name, limits=limits))


def _gather(files: Sequence[Path], folder: Path) -> list[Path]:
    """The same files in a folder of their own: another name for each, or a copy where there can be none."""
    folder.mkdir()
    gathered = [folder / file.name for file in files]
    for file, target in zip(files, gathered, strict=True):
        try:
            os.link(file.resolve(), target)
        except OSError:  # another file system, or somebody else's file
            shutil.copyfile(file, target)
    return gathered


def _check_allowed(allow: Sequence[str]) -> None:
    """Names that may be allowed at all. Raises UsageError."""
    for name in allow:
        if not re.fullmatch(GLOBAL, name):
            raise UsageError(f"--allow {name}: expected module.name, like sklearn.linear_model._ridge.Ridge")
        if forbidden(name):
            raise UsageError(
                f"--allow {name}: this one can run or load anything, or leads there, and is never allowed; save the "
                "model without it"
            )


def _providers(allow: Sequence[str]) -> dict[str, str]:
    """The packages, at the versions installed here, that hold what was allowed; the function needs them too."""
    strangers = {name: name.partition(".")[0] for name in allow}
    known = _KNOWN_ROOTS | sys.stdlib_module_names
    strangers = {name: root for name, root in strangers.items() if root not in known}
    distributions = packages_distributions() if strangers else {}
    found = {}
    for name, root in strangers.items():
        if root not in distributions:
            raise UsageError(
                f"--allow {name}: no package here provides {root}, so that its version could be pinned; install the "
                "one that does beside pilotlight"
            )
        package = distributions[root][0]
        found[package] = f"{package}=={version(package)}"
    return found
