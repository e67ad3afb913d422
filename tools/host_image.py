"""Docker images made of this machine's own files, each with a label that identifies its parts."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.staging.bytecode import interpreter

LABEL = "pilotlight.stand-in"

_HERE = Path(__file__).parent
_SHARED = ("host_files.py", "host_image.py")


class NoImageError(Exception):
    """The image cannot be built on this machine; the message says what is missing."""


def stand_in_label(image: str) -> str | None:
    """Return an image's label; "" if it is no stand-in, None if there is no image. Raises NoImageError."""
    if docker("version").returncode:
        raise NoImageError("Docker's engine does not answer; start it")
    inspected = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    if inspected.returncode:
        return None
    return str((json.loads(inspected.stdout) or {}).get(LABEL, ""))


def functions_python() -> str:
    """Return this machine's interpreter of the functions' version. Raises NoImageError if there is none."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoImageError("it requires Linux on x86_64, whose programs it contains")
    program = interpreter()
    if not program:
        raise NoImageError(f"Python {PYTHON_VERSION} is not installed")
    return program


def digest(program: str, recipes: Sequence[str], *parts: object) -> str:
    """Return the digest of an image's parts: the interpreter, the recipes beside this file, and others."""
    version = subprocess.run([program, "-VV"], capture_output=True, text=True, check=True).stdout
    texts = [(_HERE / name).read_text() for name in (*_SHARED, *recipes)]
    return hashlib.sha256("\n".join(map(str, (program, version, *parts, *texts))).encode()).hexdigest()


def import_image(root: Path, image: str, label: str, environment: Mapping[str, str], changes: Sequence[str]) -> None:
    """Import a folder into Docker as an image of one layer, owned by root. Raises NoImageError."""
    variables = [f"ENV {name}={value}" for name, value in environment.items()]
    instructions = [*variables, *changes, f"LABEL {LABEL}={label}"]
    options = [part for change in instructions for part in ("--change", change)]
    with subprocess.Popen(
        ["docker", "import", *options, "-", image], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
            archive.add(root, ".", filter=_owned_by_root)
        if process.stdin:
            process.stdin.close()
    if process.returncode:
        raise NoImageError(f"'docker import' ended with exit code {process.returncode}")


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Docker's, whatever its exit code. Raises NoImageError if docker is not installed."""
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoImageError("docker is not installed") from None
