"""Images for Docker that are made of this machine's own files, each with a label that says of what."""

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
    """The image cannot be built here; the message says what is missing."""


def made_of(image: str) -> str | None:
    """What an image was made of; empty where it is no stand-in, None where there is none. Raises NoImageError."""
    if docker("version").returncode:
        raise NoImageError("Docker's engine does not answer; start it")
    asked = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    if asked.returncode:
        return None
    return str((json.loads(asked.stdout) or {}).get(LABEL, ""))


def functions_python() -> str:
    """This machine's interpreter of the functions' version. Raises NoImageError where there is none."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoImageError("it takes Linux on x86_64, whose programs go into it")
    program = interpreter()
    if not program:
        raise NoImageError(f"there is no Python {PYTHON_VERSION} on this machine")
    return program


def digest(program: str, recipes: Sequence[str], *parts: object) -> str:
    """A digest of all that goes into an image: an interpreter, files beside this one that say how, and other parts."""
    said = subprocess.run([program, "-VV"], capture_output=True, text=True, check=True).stdout
    texts = [(_HERE / name).read_text() for name in (*_SHARED, *recipes)]
    return hashlib.sha256("\n".join(map(str, (program, said, *parts, *texts))).encode()).hexdigest()


def import_image(root: Path, image: str, label: str, environment: Mapping[str, str], changes: Sequence[str]) -> None:
    """Hand a folder to Docker as an image of one layer, owned by root. Raises NoImageError."""
    variables = [f"ENV {name}={value}" for name, value in environment.items()]
    said = [*variables, *changes, f"LABEL {LABEL}={label}"]
    options = [part for change in said for part in ("--change", change)]
    with subprocess.Popen(
        ["docker", "import", *options, "-", image], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
            archive.add(root, ".", filter=_of_root)
        if process.stdin:
            process.stdin.close()
    if process.returncode:
        raise NoImageError(f"'docker import' ended with exit code {process.returncode}")


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of Docker's that has ended, well or not. Raises NoImageError where there is no such program."""
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoImageError("the program docker is not on this machine") from None
