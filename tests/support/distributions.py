"""The sdist and the wheel of the package, built from what git has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from pilotlight_cli.assets import ROOT

# What a user's shell has, and what leads to package indexes and caches.
_KEPT = ("HOME", "LANG", "PYENV_ROOT", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "USER")
_KEPT_PREFIXES = ("PIP_", "UV_", "XDG_")

# Where running programs leave bytecode in a tree.
_RUN = ("cli/pilotlight_cli", "functions/aws/predict", "shared/pilotlight", "starter")


@dataclass(frozen=True, slots=True)
class Distributions:
    """The sdist of a tree, the wheel that is built from it, and the names of the tree's files."""

    sdist: Path
    wheel: Path
    tree: Path
    files: frozenset[str]


def built(folder: Path) -> Distributions:
    """Build the distributions in a copy of the working copy, where programs have run."""
    tree, out = folder / "tree", folder / "out"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = frozenset(name for name in names if (ROOT / name).is_file())
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    for name in _RUN:
        (tree / name / "__pycache__").mkdir()
        (tree / name / "__pycache__" / "left.cpython-313.pyc").touch()
    build(tree, out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Distributions(sdist, wheel, tree, files)


def build(tree: Path, out: Path, *options: str) -> None:
    """Build the sdist, and from it the wheel; with the option --wheel, the wheel alone."""
    command = [find_uv_bin(), "build", "--quiet", "--out-dir", str(out), *options]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def plain_environment() -> dict[str, str]:
    """Return a user's environment: nothing of this test's, and no virtual environment is active."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES) or name.lower().endswith("_proxy")
    }
    here = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != here]
    return kept | {"PATH": os.pathsep.join(path), "COLUMNS": "200"}
