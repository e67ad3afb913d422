"""`.gcloudignore`: what gcloud uploads of a staged package, which is what was staged and nothing else."""

from __future__ import annotations

from pathlib import Path

_FILE = ".gcloudignore"

# `gcloud functions deploy` asks of the folder itself whether it is ignored, as ".", and of folders without saying that
# they are such; `gcloud meta list-files-for-upload` does neither. So "." is allowed, and no line ends in a slash.
_BEFORE = ("# Only what was staged is uploaded.", "/*", "!.")
_AFTER = ("__pycache__", "*.pyc", ".?*")


def write_gcloudignore(folder: Path) -> None:
    """Allow each part of a package by its name.

    gcloud takes all that lies in a folder, and what may come there later nobody can list: .env, .venv, an editor's.
    """
    allowed = (f"!/{path.name}" for path in sorted(folder.iterdir()))
    (folder / _FILE).write_text("".join(f"{line}\n" for line in (*_BEFORE, *allowed, *_AFTER)))
