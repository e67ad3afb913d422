"""A job for the child and its findings, which parent and child exchange as JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from pilotlight.errors import PilotlightError
from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight.model.golden import Golden, read_golden, write_golden
from pilotlight.model.json_document import Node
from pilotlight.model.lock import (
    DEFAULT_SESSION,
    Description,
    File,
    Runtime,
    Session,
    read_runtime,
    write_runtime,
)
from pilotlight.model.signature import Signature, read_signature, write_signature
from pilotlight_cli.formats.engines import supporting
from pilotlight_cli.registry.digests import read_file_entry

# The allowed and the extra globals of a description.
Names: TypeAlias = "tuple[tuple[str, ...], tuple[str, ...]]"


class UsageError(PilotlightError):
    """The options do not match the file."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to inspect.

    `kind` is the file's kind and `requested_format` the publisher's --format, or empty. `signature` and `golden` are
    the texts of the publisher's files, or empty. `admitted` are the globals that Pilotlight ships and `allow` those
    that the publisher adds; `packages` provide the latter, by their names on PyPI. A file that is saved again goes to
    `folder`. `method` and `pipeline` are the publisher's options, or empty; `module` is the path of the
    publisher's own module, packed. `external_files`, `labels`, `vocabulary`
    and `repairs` are those of an ONNX file. `given` names the file on a command line, else its name does.
    """

    path: Path
    kind: str
    admitted: frozenset[str]
    folder: Path
    requested_format: str = ""
    signature: str = ""
    golden: str = ""
    allow: tuple[str, ...] = ()
    external_files: tuple[Path, ...] = ()
    numpy_major: int = 2
    packages: tuple[str, ...] = ()
    labels: tuple[str | int, ...] = ()
    vocabulary: tuple[str, ...] = ()
    method: str = ""
    pipeline: tuple[str, ...] = ()
    repairs: bool = False
    module: str = ""
    given: str = ""


def read_job(document: dict[str, Any]) -> Job:
    """Read a job that `write_job` wrote."""
    return Job(
        **document
        | {
            "path": Path(document["path"]),
            "folder": Path(document["folder"]),
            "external_files": tuple(map(Path, document["external_files"])),
            "admitted": frozenset(document["admitted"]),
            "allow": tuple(document["allow"]),
            "packages": tuple(document["packages"]),
            "labels": tuple(document["labels"]),
            "vocabulary": tuple(document["vocabulary"]),
            "pipeline": tuple(document["pipeline"]),
        }
    )


def write_job(job: Job) -> dict[str, Any]:
    """Return the JSON form of a job."""
    return {
        "path": str(job.path),
        "kind": job.kind,
        "requested_format": job.requested_format,
        "signature": job.signature,
        "golden": job.golden,
        "admitted": sorted(job.admitted),
        "allow": list(job.allow),
        "folder": str(job.folder),
        "external_files": [str(path) for path in job.external_files],
        "numpy_major": job.numpy_major,
        "packages": list(job.packages),
        "labels": list(job.labels),
        "vocabulary": list(job.vocabulary),
        "method": job.method,
        "pipeline": list(job.pipeline),
        "repairs": job.repairs,
        "module": job.module,
    }


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of an inspection. `path` is the file to publish: the given one, or one that was saved again."""

    format: str
    path: Path
    runtime: Runtime
    signature: Signature
    golden: Golden
    names: Names = ((), ())
    notes: tuple[str, ...] = ()


def write_findings(findings: Findings) -> dict[str, Any]:
    """Return the JSON form of findings."""
    return {
        "format": findings.format,
        "path": str(findings.path),
        "runtime": write_runtime(findings.runtime),
        "signature": write_signature(findings.signature),
        "golden": write_golden(findings.golden),
        "names": [list(names) for names in findings.names],
        "notes": list(findings.notes),
    }


def read_findings(document: dict[str, Any]) -> Findings:
    """Read findings that `write_findings` wrote."""
    allowed, extra = document["names"]
    return Findings(
        format=document["format"],
        path=Path(document["path"]),
        runtime=read_runtime(Node(document["runtime"]), document["format"]),
        signature=read_signature(Node(document["signature"])),
        golden=read_golden(json.dumps(document["golden"]).encode()),
        names=(tuple(allowed), tuple(extra)),
        notes=tuple(document["notes"]),
    )


def runtime_of(
    artifact_format: str,
    signature: Signature,
    packages: Sequence[str],
    session: Session = DEFAULT_SESSION,
    methods: tuple[str, ...] = (),
) -> Runtime:
    """Return the runtime of a model in a format, with the installed versions of its packages and of `packages`.

    The engine is the last of the format's that supports the signature: what serves any model, not what starts fastest.
    """
    format_ = FORMATS[artifact_format]
    engine = supporting(artifact_format, signature)[-1]
    names = {*ENGINES[engine].packages, *format_.packages, *packages}
    return Runtime(format_.runtime, engine, {name: version(name) for name in sorted(names)}, session, methods)


def provisional_description(
    files: Sequence[Path], artifact_format: str, runtime: Runtime, signature: Signature, names: Names
) -> Description:
    """Return a description for loading the model as a function does.

    The name, the version, and the digests of all files but the first are placeholders.
    """
    first, *others = files
    file = read_file_entry(first)
    golden, *rest = (File(name, 1, "0" * 64) for name in ("golden.json", *(other.name for other in others)))
    return Description("model", 1, artifact_format, (file, *rest), runtime, signature, golden, *names)
