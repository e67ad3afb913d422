"""Bytecode for the functions' Python, compiled by an interpreter of that version if this machine has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.staging.package import BuildError


def compile_all(folder: Path, say: Callable[[str], None]) -> str:
    """Compile the package for the functions' Python. Return the interpreter that did, or "" if there is none.

    Unchecked bytecode (PEP 552) stays valid whatever timestamps the files get on the platform. Raise BuildError.
    """
    program = interpreter()
    if not program:
        say(f"Python {PYTHON_VERSION} not found: the package has no bytecode, and a cold start compiles every import")
        return ""
    say(f"compiling for Python {PYTHON_VERSION}")
    command = [program, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s"]
    done = subprocess.run([*command, str(folder), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the package does not compile with {program}:\n{(done.stdout + done.stderr).strip()}")
    return program


def has_bytecode(folder: Path) -> bool:
    """Return whether every module at the root of a package is compiled for the functions' Python."""
    tag = f"cpython-{PYTHON_VERSION.replace('.', '')}"
    modules = list(folder.glob("*.py"))
    return bool(modules) and all((folder / f"__pycache__/{file.stem}.{tag}.pyc").is_file() for file in modules)


def interpreter(version: str = PYTHON_VERSION) -> str:
    """Return an interpreter of a version that runs, as a version manager's shim may not; or ""."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})"
    for candidate in _candidates(version):
        with_version = subprocess.run([candidate, "-c", check], capture_output=True, check=False)
        if with_version.returncode == 0:
            return candidate
    return ""


def _candidates(version: str) -> Iterable[str]:
    yield sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}")), reverse=True)
