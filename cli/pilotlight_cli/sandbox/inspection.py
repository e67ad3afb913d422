"""Inspecting a model file for `publish`: its format, its signature, its samples, the versions that it needs.

The file is read in child processes alone (`isolation`): first in one that recognises it by its bytes, then in one that
loads it, with the libraries that it needs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GLOBAL, Needs, Runtime
from pilotlight.model.signature import Signature
from pilotlight.pickles.forbidden import forbidden
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.foreign import foreign_folder
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import LZ4, LZ4_PACKAGES, Recognised, read_recognised
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.regular_files import FileState, check_regular, file_states
from pilotlight_cli.sandbox.isolation import Waiting, run_task, temporary_folder
from pilotlight_cli.sandbox.job import Job, UsageError, read_findings, write_findings, write_job
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions
from pilotlight_cli.sandbox.own_module import pack

__all__ = ["Inspection", "UsageError", "inspect"]

_KNOWN_ROOTS: Final = frozenset({"_loss", "numpy", "scipy", "sklearn"})

# The folder with links to the given files, in that of the inspection.
_GIVEN: Final = "given"


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model file as it will be published. `files[0]` is what the runtime opens; `notes` say what was guessed.

    `source` is the URL that the model was downloaded from, if it was. `states` are those of the publisher's own files,
    the model's first, when they were inspected. `reference` is the content of a `reference.json`, or empty.
    """

    format: str
    files: tuple[Path, ...]
    runtime: Runtime
    signature: Signature
    golden: Golden
    allowed_globals: tuple[str, ...] = ()
    extra_globals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    needs: Needs | None = None
    states: Mapping[Path, FileState] = field(default_factory=dict)
    reference: bytes = b""


def inspect(
    path: Path,
    *,
    format: str | None,  # noqa: A002 - the option's name
    signature: bytes | None,
    golden: bytes | None,
    allow: Sequence[str],
    method: str = "",
    pipeline: Sequence[str] = (),
    with_module: Path | None = None,
    measures: bool = False,
    limit_options: LimitOptions = DEFAULT,
    given: str = "",
    waiting: Waiting | None = None,
) -> Inspection:
    """Inspect the model file at `path`; `signature` and `golden` are the contents of the publisher's own files.

    `method` is the estimator's method to serve; empty for predict and predict_proba. `pipeline` are the keys of a
    dictionary, or the positions in a tuple, of the objects that make a pipeline. `with_module` is the source of a
    module whose classes the model names; it becomes one of the `files`. `measures`: see what a start needs, where the
    machine tells (Linux). `given` names the model on a command line, by default the path does. `waiting` are
    processes for it that have been started before.

    `files` are the inspected files, alone in a folder, so that what loads is what is published; one may have been saved
    again. The folder lasts as long as this process. Raise NotRecognised, UsageError (the options do not match the
    file), ModelError (the model cannot be served), UnsafePickle, FormatError or InstallError.
    """
    _check_allowed(allow)
    given, path = given or shlex.quote(str(path)), path.absolute()
    found = recognise_file(path, limit_options, given, waiting)
    for option, value in (("--method", method), ("--pipeline", pipeline), ("--with-module", with_module)):
        if value and KINDS[found.kind].inspector != "sklearn":
            raise UsageError(f"{path.name} is an ONNX model, and {option} is for scikit-learn; leave it out")
    before = file_states((path, *found.external_files))
    providers = _providers(allow)
    folder = temporary_folder()
    linked, *external_files = gather_files(path, found, folder / _GIVEN)
    module = pack(with_module, folder) if with_module else None
    job = Job(
        path=linked,
        kind=found.kind,
        requested_format=format or "",
        signature=decode_text(signature or b"", "the signature"),
        golden=decode_text(golden or b"", "the golden samples"),
        admitted=admitted_globals(),
        allow=tuple(dict.fromkeys(allow)),
        folder=folder,
        external_files=tuple(external_files),
        numpy_major=found.numpy_major,
        packages=tuple(providers),
        labels=found.labels,
        vocabulary=found.vocabulary,
        method=method,
        pipeline=tuple(pipeline),
        repairs=found.repairs,
        module=str(module or ""),
        given=given,
    )
    packages = host_packages([*KINDS[found.kind].requirements(given, found), *providers.values()])
    limits = limit_options.limits(found.size)
    findings = read_findings(
        run_task("inspect", write_job(job), packages, job.folder, path.name, limits=limits, waiting=waiting)
    )
    if file_states(before) != before:
        raise ModelError(f"{path} changed while it was being inspected; publish it again when it is complete")
    allowed, extra = findings.names
    files = (findings.path, *external_files, *([module] if module else []))
    needs = None
    if measures and sys.platform == "linux":
        document = {**write_findings(findings), "files": list(map(str, files))}
        needs = Needs(**run_task("needs", document, packages, job.folder, path.name, limits=limits))
    return Inspection(
        format=findings.format,
        files=files,
        runtime=findings.runtime,
        signature=findings.signature,
        golden=findings.golden,
        allowed_globals=allowed,
        extra_globals=extra,
        notes=(*_renamed(path, found), *findings.notes),
        needs=needs,
        states=before,
    )


def _renamed(path: Path, found: Recognised) -> list[str]:
    """Return a note for each external data file that a store has under another name."""
    names = [str(file.relative_to(path.parent)) for file in found.external_files]
    return [
        f"the external data in {name} is published as {stored}"
        for name, stored in zip(names, found.external_names, strict=True)
        if name != stored
    ]


def discard(inspection: Inspection) -> None:
    """Remove the folder of the inspected files, which would last as long as this process."""
    folder = inspection.files[0].parent
    shutil.rmtree(folder.parent if folder.name == _GIVEN else folder)


def recognise_file(
    path: Path, limit_options: LimitOptions = DEFAULT, given: str = "", waiting: Waiting | None = None
) -> Recognised:
    """Recognise the file at `path`. Raise UsageError if it is not a regular file, NotRecognised or ModelError."""
    if path.is_dir():
        raise UsageError(foreign_folder(path))
    limits = limit_options.limits(check_regular(path).st_size)
    with path.open("rb") as file:
        packages = host_packages(list(LZ4_PACKAGES)) if file.read(len(LZ4)) == LZ4 else None
    document = {"path": str(path), "given": given or shlex.quote(str(path))}
    return read_recognised(
        run_task("recognise", document, packages, temporary_folder(), path.name, limits=limits, waiting=waiting)
    )


def check_onnx(path: Path, found: Recognised) -> None:
    """Raise UsageError for a file that is no ONNX model."""
    if found.kind == "ort":
        raise UsageError(f"{path.name} is in ONNX Runtime's own format; expected the ONNX model that it was made from")
    if found.kind != "onnx":
        raise UsageError(f"{path.name} is a {found.kind} file of scikit-learn; expected an ONNX model")


def gather_files(path: Path, found: Recognised, folder: Path) -> list[Path]:
    """Put a model and its external data files into a new folder, under the names that a store can have."""
    folder.mkdir()
    names = [path.name, *found.external_names]
    files = [_linked(file, folder / name) for file, name in zip((path, *found.external_files), names, strict=True)]
    if found.places:
        files[0].unlink()  # a link to the publisher's own file
        shutil.copyfile(path, files[0])
        with files[0].open("r+b") as model:
            for position, name in found.places:
                model.seek(position)
                model.write(name.encode())
    return files


def _linked(file: Path, target: Path) -> Path:
    """Link a file, or copy it if it cannot be linked."""
    try:
        os.link(file.resolve(), target)
    except OSError:  # another file system, or another user's file
        shutil.copyfile(file, target)
    return target


def _check_allowed(allow: Sequence[str]) -> None:
    """Raise UsageError for names that cannot be allowed."""
    for name in allow:
        if not re.fullmatch(GLOBAL, name):
            raise UsageError(f"--allow {name}: expected module.name, like sklearn.linear_model._ridge.Ridge")
        if forbidden(name):
            raise UsageError(
                f"--allow {name}: this global can run any code, directly or indirectly, and cannot be allowed; save "
                "the model without it"
            )


def _providers(allow: Sequence[str]) -> dict[str, str]:
    """Return the packages that provide the allowed names, with the versions installed here. Raise UsageError."""
    unknown = {name: name.partition(".")[0] for name in allow}
    known = _KNOWN_ROOTS | sys.stdlib_module_names
    unknown = {name: root for name, root in unknown.items() if root not in known}
    distributions = packages_distributions() if unknown else {}
    found = {}
    for name, root in unknown.items():
        if root not in distributions:
            raise UsageError(
                f"--allow {name}: no installed package provides {root}, and its version has to be pinned; install it "
                "in pilotlight's environment"
            )
        package = distributions[root][0]
        found[package] = f"{package}=={version(package)}"
    return found
