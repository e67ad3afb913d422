"""`.gcloudignore`, which has gcloud upload the staged files alone."""

from __future__ import annotations

from pathlib import Path

_FILE = ".gcloudignore"

# `gcloud functions deploy` matches the folder itself, as ".", and matches folders without a slash at the end;
# `gcloud meta list-files-for-upload` does neither. So "." is allowed, and no line ends in a slash.
_BEFORE = ("# Only what was staged is uploaded.", "/*", "!.")
_AFTER = ("__pycache__", "*.pyc", ".?*")


def write_gcloudignore(folder: Path) -> None:
    """Allow each part of a package by its name.

    gcloud uploads everything in a folder, and later additions cannot be listed: .env, .venv, an editor's files.
    """
    allowed = (f"!/{path.name}" for path in sorted(folder.iterdir()))
    (folder / _FILE).write_text("".join(f"{line}\n" for line in (*_BEFORE, *allowed, *_AFTER)))
