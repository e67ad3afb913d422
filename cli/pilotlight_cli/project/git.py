"""git as a subprocess: reading a project's repository, and merging a file."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.errors import PilotlightError

_MOST_CONFLICTS = 127  # `git merge-file` exits with their number, and with a larger one if it fails

_DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


class GitFailed(PilotlightError):
    """Git is not installed, or a command of it failed; the message has git's own words."""


def git(folder: Path, *arguments: str) -> bytes:
    """Return what git prints. Raise GitFailed."""
    done = _run(folder, arguments)
    if done.returncode:
        raise _failed(folder, arguments, done)
    return done.stdout


def commit_of(file: Path, digest: str) -> str:
    """Return the newest commit of a file's history whose content has this SHA-256 (or its first part), or "".

    The id is abbreviated. Outside of a repository there is no such commit.
    """
    folder = file.resolve().parent
    try:
        commits = git(folder, "log", "--format=%h", "--", file.name).decode().split()
        for commit in commits if digest else ():
            if hashlib.sha256(git(folder, "show", f"{commit}:./{file.name}")).hexdigest().startswith(digest):
                return commit
    except GitFailed:
        return ""
    return ""


def working_commit(folder: Path) -> str:
    """Return the commit that is checked out, with -dirty behind it if tracked files differ, or "" if there is none."""
    try:
        return git(folder, *_DESCRIBE).decode().strip()
    except GitFailed:
        return ""


def merge(mine: bytes, base: bytes, other: bytes, names: tuple[str, str, str]) -> tuple[bytes, bool]:
    """Merge two changes of a base. Return the result, and whether it has conflicts, marked with `names`.

    Raise GitFailed.
    """
    labels = [option for name in names for option in ("-L", name)]
    with TemporaryDirectory(prefix="pilotlight-") as name:
        folder = Path(name)
        for file, content in (("mine", mine), ("base", base), ("other", other)):
            (folder / file).write_bytes(content)
        arguments = ("merge-file", "--stdout", *labels, "mine", "base", "other")
        done = _run(folder, arguments)
        if not 0 <= done.returncode <= _MOST_CONFLICTS:
            raise _failed(folder, arguments, done)
    return done.stdout, done.returncode > 0


def _run(folder: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        raise GitFailed("git is not installed; see https://git-scm.com/downloads") from None


def _failed(folder: Path, arguments: tuple[str, ...], done: subprocess.CompletedProcess[bytes]) -> GitFailed:
    words = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
    return GitFailed(f"'git {arguments[0]}' failed in {folder}: {words}")
