"""The release digest: one hash of a package and of the settings that shape a revision."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pilotlight_cli.gcp.functions import ENTRY_POINT, RUNTIME
from pilotlight_cli.gcp.settings import GcpSettings


def release_digest(settings: GcpSettings, package: Path) -> str:
    """Return the digest of a package and of the settings that shape a revision: 64 hexadecimal digits."""
    files = sorted(file for file in package.rglob("*") if file.is_file())
    shape = [settings.memory, settings.cpu, settings.concurrency, settings.service_account, settings.store]
    shape += [settings.workers, *settings.options]
    document = {
        "package": {file.relative_to(package).as_posix(): _sha256(file) for file in files},
        "settings": [RUNTIME, ENTRY_POINT, *shape],
        "variables": dict(settings.variables),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
