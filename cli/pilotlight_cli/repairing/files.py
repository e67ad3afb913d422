"""`pilotlight repair`: write an ONNX model as publish would rewrite it, for its owner to keep."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pilotlight.model.lock import FILE_NAME
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.sandbox.inspection import check_onnx, gather_files, recognise_file
from pilotlight_cli.sandbox.isolation import run_task, temporary_folder
from pilotlight_cli.sandbox.job import Job, UsageError, write_job
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions


@dataclass(frozen=True, slots=True)
class Report:
    """What was changed, what could not be, and the files that were written: none if nothing was changed."""

    changes: tuple[str, ...]
    kept: tuple[str, ...]
    files: tuple[Path, ...]


def repair(
    path: Path,
    out: Path,
    *,
    names: Sequence[str],
    labels: Sequence[str | int],
    signature: bytes | None,
    golden: bytes | None,
    limit_options: LimitOptions = DEFAULT,
) -> Report:
    """Write the model at `path`, repaired, to `out`, unless nothing is to be changed.

    Raise UsageError, and what `inspect` raises for a model that cannot be served.
    """
    path, data = path.absolute(), out.with_suffix(".data")
    found = recognise_file(path, limit_options)
    check_onnx(path, found)
    for file in (out, data):
        if file.exists():
            raise UsageError(f"{file} exists, and nothing is overwritten; choose another name")
    if found.external_files and not re.fullmatch(FILE_NAME, data.name):
        raise UsageError(
            f"{data.name} cannot be the name of external data; choose a name of letters, digits, ., _ and -"
        )
    folder = temporary_folder()
    linked, *external = gather_files(path, found, folder / "given")
    job = Job(
        path=linked,
        kind="onnx",
        admitted=frozenset(),
        folder=folder,
        signature=decode_text(signature or b"", "the signature"),
        golden=decode_text(golden or b"", "the golden samples"),
        external_files=tuple(external),
        labels=found.labels,
        vocabulary=found.vocabulary,
    )
    document = {"job": write_job(job), "out": str(folder / "out" / out.name), "names": list(names)}
    packages = host_packages(KINDS["onnx"].requirements(path.name, replace(found, repairs=True)))
    limits = limit_options.limits(found.size)
    done = run_task("repair", document | {"labels": list(labels)}, packages, folder, path.name, limits=limits)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = [Path(file) for file in reversed(done["files"])]  # the model last: with it, the whole is there
    files = [Path(shutil.move(file, out.parent / file.name)) for file in made]
    return Report(tuple(done["changes"]), tuple(done["kept"]), tuple(reversed(files)))
