"""`pilotlight upgrade`: brings the files that `init` copied to this release, and keeps the user's edits.

Three contents of a file are compared: the original, as the earlier release wrote it, the user's, and this release's.
The original of an edited file is in git if it was committed before the edits, or in the record since the last upgrade.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pilotlight
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.project.folders import Project
from pilotlight_cli.project.git import GitFailed, git, merge
from pilotlight_cli.project.record import FILE, Record, git_id, read_record, write_record
from pilotlight_cli.project.starter import copied, git_ids, write_file

Kind = Literal["add", "replace", "merge", "conflict", "beside", "remove", "keep"]

NEW = ".new"  # the suffix of a release's file beside an edited one


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a file: `content` is written to it, or beside it. `diff` is the release's change."""

    path: str
    kind: Kind
    content: bytes = b""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The steps of an upgrade, and the record afterwards."""

    root: Path
    steps: tuple[Step, ...]
    record: Record


def plan_upgrade(project: Project) -> Upgrade:
    """Return what this release changes in a project. Raise ProjectUsageError if `init` did not write it."""
    record = read_record(project.root)
    if record is None:
        raise ProjectUsageError(
            f"{project.root} has no {FILE}, in which 'pilotlight init' records the files that it writes: nothing to "
            "upgrade here"
        )
    return plan_files(project.root, record, copied(project, record.ci), pilotlight.__version__)


def plan_files(root: Path, record: Record, files: Mapping[str, bytes], release: str) -> Upgrade:
    """Return how the copied files become those of a release. Raise ProjectUsageError for an unmerged FILE.new."""
    change = _Change(root, record, release)
    steps = [step for path in sorted({*files, *record.files}) if (step := change.step(path, files.get(path)))]
    for step in steps:
        beside = root / f"{step.path}{NEW}"
        if step.kind == "beside" and beside.exists():
            raise ProjectUsageError(f"{beside} exists; merge it into {step.path} and delete it, then upgrade again")
    ids = git_ids(files)
    edited = [step.path for step in steps if step.kind in ("merge", "conflict", "beside")]
    originals = {path: text for path, text in record.originals.items() if ids.get(path) == record.files.get(path)}
    originals |= {path: files[path].decode() for path in edited}
    return Upgrade(root, tuple(steps), Record(release, record.ci, ids, originals))


def apply_upgrade(upgrade: Upgrade) -> None:
    """Write and remove files, and then the record: an interrupted upgrade can be repeated."""
    for step in upgrade.steps:
        file = upgrade.root / step.path
        match step.kind:
            case "remove":
                file.unlink()
            case "beside":
                write_file(file.with_name(file.name + NEW), step.content)
            case "add" | "replace" | "merge" | "conflict":
                write_file(file, step.content)
    write_record(upgrade.root, upgrade.record)


@dataclass(frozen=True, slots=True)
class _Change:
    """From the recorded release to another one."""

    root: Path
    record: Record
    release: str

    def step(self, path: str, new: bytes | None) -> Step | None:
        """Return what to do with a file, if anything. `new` is None if the release does not have it."""
        file, recorded = self.root / path, self.record.files.get(path)
        if new is not None and git_id(new) == recorded:
            return None
        if not file.exists() and not file.is_symlink():  # what the user deleted is not restored
            return None if new is None or recorded else Step(path, "add", new, _diff("/dev/null", path, b"", new))
        mine = file.read_bytes() if file.is_file() else None
        if mine == new:
            return None
        if mine is None or file.is_symlink():
            return Step(path, "keep")
        is_edited = git_id(mine) != recorded
        if new is None:
            return Step(path, "keep") if is_edited else Step(path, "remove", diff=_diff(path, "/dev/null", mine, b""))
        return self._merged(path, mine, new) if is_edited else Step(path, "replace", new, self._diff(path, mine, new))

    def _merged(self, path: str, mine: bytes, new: bytes) -> Step:
        original = self._original(path)
        if original is None:
            return Step(path, "beside", new, _diff(f"{path} (yours)", f"{path} ({self.release})", mine, new))
        merged, conflicts = merge(mine, original, new, ("yours", self.record.release, self.release))
        return Step(path, "conflict" if conflicts else "merge", merged, self._diff(path, original, new))

    def _original(self, path: str) -> bytes | None:
        """Return a file as the earlier release wrote it, if the record or git has it."""
        if path in self.record.originals:
            return self.record.originals[path].encode()
        if path not in self.record.files:
            return None
        try:
            return git(self.root, "cat-file", "blob", self.record.files[path])
        except GitFailed:
            return None

    def _diff(self, path: str, old: bytes, new: bytes) -> str:
        return _diff(f"{path} ({self.record.release})", f"{path} ({self.release})", old, new)


def _diff(before: str, after: str, old: bytes, new: bytes) -> str:
    old_lines, new_lines = (content.decode(errors="replace").splitlines() for content in (old, new))
    return "\n".join(difflib.unified_diff(old_lines, new_lines, before, after, lineterm=""))
