"""`pilotlight convert`: write a model file as ONNX, if ONNX Runtime answers as the model's own library does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden
from pilotlight_cli.converting.environment import prepare, requirements
from pilotlight_cli.converting.quantizing import quantize
from pilotlight_cli.converting.sources import Source, read_source
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import Recognised
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.registry.rows import read_records
from pilotlight_cli.regular_files import check_regular, file_states
from pilotlight_cli.sandbox.isolation import run_task, temporary_folder
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions
from pilotlight_cli.stores.arrivals import arriving

CHILD = "pilotlight_cli.converting.child"
ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Report:
    """A conversion: the file, the libraries that it was compared with, and how the answers compare.

    `thresholds` of the `rows` are on thresholds of trees. `labels` have the same label, None if the model has none;
    `ties` others, in which two classes are equally likely. `largest` is the largest difference of two numbers.
    """

    file: Path
    size: int
    libraries: dict[str, str]
    rows: int
    thresholds: int
    labels: int | None
    ties: int
    largest: float | None
    notes: tuple[str, ...]


def describe(path: Path, limit_options: LimitOptions = DEFAULT) -> Source:
    """Say what a file is, without loading it. Raise UsageError, NotRecognised, UnsafePickle or ModelError."""
    limits = limit_options.limits(check_regular(path).st_size)
    job = {"path": str(path.absolute())}
    return read_source(run_task("describe", job, None, temporary_folder(), path.name, limits=limits))


def check_target(path: Path, out: Path, *, force: bool) -> None:
    """Raise UsageError if `out` may not be written."""
    if out.suffix != ".onnx":
        raise UsageError(f"{out} is not the name of an ONNX model; expected one that ends with .onnx")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"nothing can be written into {out.parent}; choose a folder that exists and is yours")
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out} is the file to convert; choose another name")
    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")


def convert(
    path: Path,
    out: Path,
    source: Source,
    *,
    rows: Path | None = None,
    extra: Sequence[str] = (),
    quantize_on: Golden | None = None,
    limit_options: LimitOptions = DEFAULT,
    step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Convert a file that the user trusts, and compare its answers. `step` gets the name of each next step.

    With `quantize_on`, keep a graph of int8 if it is faster and within the tolerance of these golden samples.

    Raise ModelError for a model that cannot be converted or answers otherwise, FormatError for the rows, UsageError or
    InstallError.
    """
    given = {"file": rows.name, "rows": read_records(rows)} if rows else None
    before = file_states([path])
    step("installing its libraries")
    environment = prepare(requirements(source, extra), path.name)
    folder = temporary_folder()
    copy = folder / "given" / path.name
    copy.parent.mkdir()
    shutil.copyfile(path, copy)
    limits = limit_options.limits(source.size)
    job = {
        "path": str(copy),
        "form": source.form,
        "given": given,
        "count": ROWS,
        "folder": str(folder),
        "libraries": environment.libraries,
    }
    step("converting")
    made = run_task(
        "convert",
        job,
        environment.packages,
        folder,
        path.name,
        limits=limits,
        module=CHILD,
        python=environment.python,
    )
    step("comparing the answers")
    served = host_packages(KINDS["onnx"].requirements(path.name, Recognised("onnx")))
    found = run_task("compare", job, served, folder, path.name, limits=limits, module=CHILD)
    if found["problem"]:
        raise ModelError(f"the converted model answers otherwise than {path.name}: {found['problem']}")
    if file_states(before) != before:
        raise ModelError(f"{path} changed while it was being converted; convert it again when it is complete")
    kept = folder / "model.onnx"
    if quantize_on:
        step("quantizing")
        kept, note = quantize(kept, quantize_on, path.name, limits, CHILD)
        made["notes"].append(note)
    content = kept.read_bytes()
    with arriving(out.absolute()) as file:
        file.write(content)
    return _report(out, len(content), made, found)


def _report(out: Path, size: int, made: dict[str, Any], found: dict[str, Any]) -> Report:
    return Report(
        file=out,
        size=size,
        libraries={name.removesuffix("-cpu"): version for name, version in made["libraries"].items()},
        rows=found["rows"],
        thresholds=made["thresholds"],
        labels=found["labels"],
        ties=found["ties"],
        largest=found["largest"],
        notes=tuple(made["notes"]),
    )
