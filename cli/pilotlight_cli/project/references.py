"""The versions that a project references: by its locks now, and by those in the history of its repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotlight.errors import FormatError, PilotlightError
from pilotlight.experiments.lock import FILE, read_experiment
from pilotlight.model.lock import Description, read_lock
from pilotlight.shadow.lock import FILE as SHADOW
from pilotlight.shadow.lock import read_shadow
from pilotlight_cli.experimenting.beside import versions_beside
from pilotlight_cli.project.folders import ModelFolder, Project
from pilotlight_cli.project.git import GitFailed, git

_LOCKS = ("model.lock", FILE, SHADOW)
_ENDINGS = tuple(name.encode() for name in _LOCKS)


class HistoryUnknown(PilotlightError):
    """The history of a project's locks cannot be read."""


def pinned(project: Project) -> Iterator[tuple[ModelFolder, Description]]:
    """Yield the models of a project that pin something, with what they pin. Raise FormatError for a broken lock."""
    for folder in project.models():
        if folder.lock.exists():
            try:
                yield folder, read_lock(folder.lock.read_bytes()).model
            except FormatError as error:
                raise error.within(str(folder.lock)) from None


def pinned_by(project: Project, models: Sequence[Description]) -> dict[int, list[str]]:
    """Return the project's models that pin each of these versions, with the same files. Raise FormatError."""
    locks = [(folder.name, model) for folder, model in pinned(project)]
    return {
        model.version: [
            name
            for name, lock in locks
            if (lock.name, lock.version, lock.files) == (model.name, model.version, model.files)
        ]
        for model in models
    }


def references(project: Project) -> dict[str, dict[int, tuple[str, ...]]]:
    """Return why a project needs versions, by the model's name and the version.

    All branches and tags count. Raise HistoryUnknown outside of git or in a shallow clone, and FormatError for a lock
    in the working tree that cannot be read.
    """
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for model in _history(project):
        found.setdefault(model.name, {})[model.version] = ("in git's history",)
    for folder, model in pinned(project):
        versions = found.setdefault(model.name, {})
        earlier = tuple(reason for reason in versions.get(model.version, ()) if reason != "in git's history")
        versions[model.version] = (*earlier, f"pinned by {folder.name}")
        for other, file in versions_beside(folder.lock, model):
            kind = "shadow" if file == SHADOW else "treatment"
            found[other.name][other.version] = (f"a {kind} of {folder.name}",)
    return found


def _history(project: Project) -> Iterator[Description]:
    """Yield what each lock in the history of any branch pins, and the versions in experiments and shadows.

    One that cannot be read never served anything.
    """
    root = project.root
    try:
        if git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            raise HistoryUnknown(
                "this clone is shallow, and an older commit may pin any version; run 'git fetch --unshallow'"
            )
        places = [f":(glob,top)**/{name}" for name in _LOCKS]
        # Without full history git leaves out a branch that a merge overruled.
        listed = git(root, "rev-list", "--objects", "--full-history", "--all", "--", *places)
    except GitFailed as error:
        raise HistoryUnknown(f"the locks in git's history name the versions that must stay: {error}") from None
    entries = [line.partition(b" ") for line in listed.splitlines()]
    blobs = {entry.decode(): path for entry, _, path in entries if path.endswith(_ENDINGS)}
    for blob, path in blobs.items():
        content = git(root, "cat-file", "blob", blob)
        try:
            if path.endswith(FILE.encode()):
                yield from (treatment.model for treatment in read_experiment(content).treatments)
            elif path.endswith(SHADOW.encode()):
                yield read_shadow(content).model
            else:
                yield read_lock(content).model
        except FormatError:
            continue
