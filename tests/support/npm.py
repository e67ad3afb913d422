"""Packages of npm's that tests use: each set is pinned by a lock in tools/."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import CACHE


def installed(tool: str, package: str) -> Path:
    """Return the folder of a package, which npm installs once, as the lock in tools/ pins it by hash."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm, which installs {package}, is not on this machine (Debian's package npm)")
    project = ROOT / "tools" / tool
    lock = project / "package-lock.json"
    folder = CACHE / f"{tool}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:20]}"
    if not (folder / "node_modules" / package).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", lock.name):
            shutil.copyfile(project / name, folder / name)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder], check=True)
    return folder / "node_modules" / package
