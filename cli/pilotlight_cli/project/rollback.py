"""`pilotlight rollback`: the pin before the current one, restored from git's history, which stays as it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight.model.contract import Change, model_changes
from pilotlight.model.formats import check_oldest
from pilotlight.model.lock import GOLDEN, REFERENCE, Lock, read_lock
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_requirements, write_together
from pilotlight_cli.project.git import git
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.registry.versions import MANIFEST
from pilotlight_cli.signing import BUNDLE
from pilotlight_cli.signing.demanded import check_signer

_LOCK = "model.lock"
_FILES = (GOLDEN, REQUIREMENTS, _LOCK)  # in the order in which they are written
_OPTIONAL = (REFERENCE, MANIFEST, BUNDLE)  # beside the lock of a version with a reference, or of a signed one


class RollbackRefused(PilotlightError):
    """There is no earlier pin to restore, or restoring it would lose something; nothing was changed."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The pins before and after, what changed in the contract, and the commit that made the restored pin.

    `commit` is its abbreviated id, `date` the day of the commit.
    """

    before: Lock
    after: Lock
    changes: tuple[Change, ...]
    commit: str
    date: str
    subject: str


def roll_back(lock: Path) -> RolledBack:
    """Restore the files of the pin before the committed one.

    Raise RollbackRefused, GitFailed, or SignatureRefused if the project demands a signer that the earlier pin lacks.
    """
    folder = lock.resolve().parent
    _check_clean(folder)
    current = _committed(folder, "HEAD", _LOCK)
    if current is None:
        raise RollbackRefused(f"{lock} is not committed, so there is no pin to go back from")
    made_by, last_state = _earlier(folder, current)
    restored = {name: _committed(folder, last_state, name) for name in (*_OPTIONAL, *_FILES)}
    commit, date, subject = _git_text(folder, "log", "-1", "--format=%h%x00%cs%x00%s", made_by).split("\0")
    after = _checked(restored, commit)
    check_signer(after, lock, lambda path: _existing(path, restored[path.name]))
    before = read_lock(current)
    write_together([(folder / name, content) for name, content in restored.items() if content is not None])
    for name in _OPTIONAL:
        if restored[name] is None:
            (folder / name).unlink(missing_ok=True)
    return RolledBack(before, after, model_changes(before.model, after.model), commit, date, subject)


def _check_clean(folder: Path) -> None:
    changed = _git_text(folder, "status", "--porcelain", "-z", "--untracked-files=all", "--", *_OPTIONAL, *_FILES)
    if changed:
        names = ", ".join(Path(entry[3:]).name for entry in changed.split("\0") if entry)
        raise RollbackRefused(f"{names} in {folder} has uncommitted changes; commit or restore them first")


def _earlier(folder: Path, current: bytes) -> tuple[str, str]:
    """Return the commit that made the pin before, and the last commit that had it.

    The history is that of the branch itself: of a merged branch only the merge counts.
    """
    later = "HEAD"
    for commit in _git_text(folder, "log", "--first-parent", "--format=%H", "--", _LOCK).split():
        content = _committed(folder, commit, _LOCK)
        if content not in (None, current):
            return commit, f"{later}^"
        later = commit
    hint = "; it is a shallow clone: run 'git fetch --unshallow'" if _is_shallow(folder) else ""
    raise RollbackRefused(f"git's history has no other {_LOCK} of {folder}{hint}")


def _is_shallow(folder: Path) -> bool:
    return _git_text(folder, "rev-parse", "--is-shallow-repository") == "true"


def _checked(files: dict[str, bytes | None], commit: str) -> Lock:
    """Return the lock among the files of a pin. Raise RollbackRefused if they do not belong together."""
    missing = [name for name in _FILES if files[name] is None]
    if missing:
        raise RollbackRefused(f"the pin of commit {commit} has no {' and no '.join(missing)}; pin the version again")
    contents = {name: content for name, content in files.items() if content is not None}
    try:
        lock = read_lock(contents[_LOCK])
        check_requirements(lock, decode_text(contents[REQUIREMENTS], REQUIREMENTS))
        check_oldest(_LOCK, lock.model.runtime.packages)
    except PilotlightError as error:
        raise RollbackRefused(f"the pin of commit {commit} cannot be restored: {error}") from None
    for file in lock.model.companions:
        found = hashlib.sha256(contents.get(file.name, b"")).hexdigest()
        if found != file.sha256:
            raise RollbackRefused(
                f"the pin of commit {commit} cannot be restored: {file.name} has SHA-256 {found}, expected "
                f"{file.sha256} as {_LOCK} says; pin {lock.model.name}:{lock.model.version} again"
            )
    return lock


def _existing(path: Path, content: bytes | None) -> bytes:
    if content is None:
        raise FileNotFoundError(ENOENT, "no such file in that commit", str(path))
    return content


def _committed(folder: Path, commit: str, name: str) -> bytes | None:
    """Return a file of the folder in a commit, or None."""
    if not git(folder, "ls-tree", "-z", "--name-only", commit, "--", name):
        return None
    return git(folder, "show", f"{commit}:./{name}")


def _git_text(folder: Path, *arguments: str) -> str:
    return git(folder, *arguments).decode(errors="replace").strip("\n")
