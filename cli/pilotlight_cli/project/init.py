"""`pilotlight init` and `pilotlight add`: the files of a new project, and of another model."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pilotlight
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import FILE, MODELS, NAME, NAME_EXPECTED, ModelFolder, Project, shown
from pilotlight_cli.project.record import FILE as RECORD
from pilotlight_cli.project.record import Record, read_record, write_record
from pilotlight_cli.project.starter import deployed_name, git_ids, rendered, settings_in, write_file

STORE = "store"
PINNED = ("model.lock", "requirements.lock", "golden.json")  # `pin` overwrites them

# In a model's name these would make two functions of one name, and let the role of one environment reach the stacks of
# another: see DeployPolicy in bootstrap.yaml.
_ENVIRONMENTS = ("dev", "staging", "prod")

_PROJECT = """\
name = "{name}"
clouds = {clouds}
# The model store: a folder of this project, or a bucket: s3://bucket/prefix, gs://bucket/prefix.
store = "{store}"
"""


@dataclass(frozen=True, slots=True)
class Written:
    """The paths that were written, and those of existing files that differ and were kept."""

    new: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What was written at the top of the project, with a slash after each folder."""
        tops = {path.partition("/")[0] + ("/" if "/" in path else "") for path in self.new}
        return ", ".join(sorted(tops))


def project_name(root: Path, name: str) -> str:
    """Return a project's name: `name`, or that of its folder. Raise ProjectUsageError if a stack cannot have it."""
    if name:
        return check_name(name)
    folder = root.resolve().name
    if not re.fullmatch(NAME, folder):
        raise ProjectUsageError(
            f"the folder's name {folder!r} cannot be a stack's or a function's; give {NAME_EXPECTED}, with --name"
        )
    return folder


def check_name(name: str) -> str:
    """Return a name that a stack and a function can have. Raise ProjectUsageError."""
    if not re.fullmatch(NAME, name):
        raise ProjectUsageError(f"{name!r} cannot be a stack's or a function's name; expected {NAME_EXPECTED}")
    return name


def check_new(root: Path, *, pins: bool) -> None:
    """Raise ProjectUsageError if a folder is a project, or has files that a pin would overwrite."""
    if (root / FILE).exists():
        raise ProjectUsageError(
            f"{root} is a project already: it has {FILE}; 'pilotlight add NAME' adds a model, 'pilotlight upgrade' "
            "updates its files"
        )
    found = [name for name in PINNED if (root / name).exists()]
    if pins and found:
        raise ProjectUsageError(f"{root} has {', '.join(found)}, which 'pilotlight pin' writes; move it elsewhere")


def present(root: Path, given: Collection[Path]) -> list[str]:
    """Return the names of what a folder has, without hidden entries and the files `given`, sorted."""
    if not root.is_dir():
        return []
    expected = {path.resolve() for path in given}
    return sorted(
        path.name for path in root.iterdir() if not path.name.startswith(".") and path.resolve() not in expected
    )


def create(root: Path, name: str, clouds: Sequence[str], ci: str) -> Written:
    """Write a project's files. Existing files stay as they are."""
    files = rendered(name, clouds, ci)
    written = _write(root, files)
    write_record(root, Record(pilotlight.__version__, ci, git_ids(files)))
    project = _PROJECT.format(name=name, clouds=json.dumps(list(clouds)), store=STORE)
    write_file(root / FILE, project.encode())  # last: with it the project is complete
    return replace(written, new=(*written.new, RECORD, FILE))


def check_addable(project: Project, name: str) -> None:
    """Raise ProjectUsageError for a model's name that a stack cannot have, or that is taken in a project."""
    folder = project.root / MODELS / check_name(name)
    if folder.exists():
        raise ProjectUsageError(f"this project has a model {name!r} already, in {shown(folder)}; choose another name")
    if any(model.is_root and model.name == name and model.lock.exists() for model in project.models()):
        raise ProjectUsageError(f"the model at the project's root has the name {name!r}; choose another name")
    if any(part.endswith(_ENVIRONMENTS) for part in name.split("-")):
        raise ProjectUsageError(
            f"{name!r} has an environment's name in it, which ends the names of stacks; choose a name without "
            f"{', '.join(_ENVIRONMENTS)}"
        )
    check_name(deployed_name(project, name))


def add_model(project: Project, name: str) -> ModelFolder:
    """Write the settings of another model, in models/NAME, for which `check_addable` was called."""
    settings = settings_in(project, name)
    _write(project.root, settings)
    record = read_record(project.root)
    if record:
        write_record(project.root, replace(record, files={**record.files, **git_ids(settings)}))
    return next(model for model in project.models() if not model.is_root and model.name == name)


def _write(root: Path, files: Mapping[str, bytes]) -> Written:
    there = {path for path in files if (root / path).exists() or (root / path).is_symlink()}
    kept = [path for path in there if not (root / path).is_file() or (root / path).read_bytes() != files[path]]
    for path in files.keys() - there:
        write_file(root / path, files[path])
    return Written(tuple(sorted(files.keys() - there)), tuple(sorted(kept)))


def folder_size(store: str) -> int:
    """Return how many bytes a model store in a folder has; 0 for a bucket."""
    if not store.startswith("file:"):
        return 0
    return sum(path.stat().st_size for path in Path(unquote(urlsplit(store).path)).rglob("*") if path.is_file())
