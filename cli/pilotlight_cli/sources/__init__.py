"""Where a model comes from: a file, a folder or an archive of a known layout, or a registry that has one.

`obtained` is the one entry. Nothing of a source is run or unpickled here: a file's bytes are copied, and what the files
beside it say is compared with what inspection finds (`pilotlight_cli.sources.inspecting`).
"""

from __future__ import annotations

import re
from pathlib import Path

from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.declared import Source

__all__ = ["Source", "obtained"]

_ARCHIVE = re.compile(r".+\.(tar|tar\.gz|tgz)", re.IGNORECASE)


def obtained(argument: str, file: str = "") -> Source:
    """Return the model that a command's argument names: a path, `models:/...`, `hf://...` or `oci://...`.

    `file` chooses one of several files of a folder, by its path there. What is downloaded or unpacked lasts as long as
    this process. Raise UsageError for a malformed argument, NotRecognised or ModelError for files that cannot be
    published, StoreError or DigestMismatch where a registry does not deliver them.
    """
    from pilotlight_cli.sources import layouts

    if argument.startswith("models:"):
        from pilotlight_cli.sources.mlflow_server import registered

        return layouts.take(registered(argument), file)
    if argument.startswith("hf:"):
        from pilotlight_cli.sources.huggingface_hub import repository

        files, inside = repository(argument)
        return layouts.take(files, file or inside)
    if argument.startswith("oci:"):
        from pilotlight_cli.sources.oci import artifact

        return layouts.take(artifact(argument), file)
    return _local(Path(argument), file)


def _local(path: Path, file: str) -> Source:
    from pilotlight_cli.sources import layouts
    from pilotlight_cli.sources.archive import unpacked
    from pilotlight_cli.sources.files import local

    if not path.exists():
        raise UsageError(f"{path} does not exist; expected a model file, a model folder, models:/, hf:// or oci://")
    if path.is_dir():
        return layouts.take(local(path), file)
    if path.is_file() and _ARCHIVE.fullmatch(path.name):
        return layouts.take(unpacked(path), file)
    if file:
        raise UsageError(f"{path} is a file; --file {file} chooses a file of a folder, an archive or a registry")
    return Source(path)
