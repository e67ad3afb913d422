"""git as a subprocess, in a project's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pilotlight.errors import PilotlightError


class GitFailed(PilotlightError):
    """Git is not installed, or a command of it failed; the message has git's own words."""


def git(folder: Path, *arguments: str) -> bytes:
    """Return what git prints. Raise GitFailed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        raise GitFailed("git is not installed; see https://git-scm.com/downloads") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise GitFailed(f"'git {arguments[0]}' failed in {folder}: {words}")
    return done.stdout
