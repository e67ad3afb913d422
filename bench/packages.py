"""The contestants' packages: each a folder with its code, its libraries and bytecode of the Python that runs it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from pilotlight_cli import console
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import PYTHON, group_packages, host_packages, isolated_python
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.staging import build
from pilotlight_cli.staging.bytecode import interpreter
from pilotlight_cli.staging.libraries import requirements
from pilotlight_cli.staging.sources import stage_sources

PEERS = Path(__file__).parent / "peers"

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "requirements.*")
_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}


def functions_python() -> str:
    """Return the functions' own Python where this machine has it, or the one that runs this."""
    return interpreter() or PYTHON


def peer(name: str, python: str, folder: Path) -> Path:
    """Return a peer's package: what its requirements.lock pins as it is installed, and its code."""
    shutil.copytree(PEERS / name, folder, ignore=_LEFT_OUT)
    _compile(folder, python)
    _link(host_packages(PEERS / name / "requirements.lock", python=python), folder)
    return folder


def ours(cloud: str, lock: Path, python: str, folder: Path) -> Path:
    """Our function's package: on AWS what `make build` makes, else what Google's builder or a container makes of it.

    Without the functions' Python, what `make build` would make for AWS is put together for the one there is.
    """
    if cloud == "aws" and not _is_functions_own(python):
        stage_sources(cloud, lock, folder)
        wanted = requirements(cloud, lock)
    else:
        build(cloud, lock, folder, console.say, architecture=_ARCHITECTURES.get(platform.machine(), "x86_64"))
        if cloud == "aws":
            return folder
        wanted = (folder / "requirements.txt").read_text()
    _compile(folder, python)
    _link(host_packages(wanted, python=python), folder)
    return folder


def lambda_runtime(python: str) -> Path:
    """Return what Lambda has beside a package: its runtime's client and boto3."""
    return group_packages("lambda-runtime", python=python)


def size(folder: Path) -> int:
    """Return the bytes of a package, unzipped."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_functions_own(python: str) -> bool:
    return python != PYTHON or sys.version_info[:2] == tuple(map(int, PYTHON_VERSION.split(".")))


def _link(packages: Path, folder: Path) -> None:
    """Hard links, where the folders are on one disk: nothing writes into either."""
    same = packages.stat().st_dev == folder.parent.stat().st_dev
    shutil.copytree(packages, folder, copy_function=os.link if same else shutil.copy2, dirs_exist_ok=True)


def _compile(folder: Path, python: str) -> None:
    """Bytecode that is checked against nothing, as `make build` makes it."""
    options = ["-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*isolated_python(python), "-m", "compileall", *options, str(folder)], check=True)


def made_in(folder: Path = ROOT / "build" / "bench") -> Path:
    """Where packages, models and stores of the bench are kept from one run to the next."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
