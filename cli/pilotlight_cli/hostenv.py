"""Isolated environments for the machine's own Python, or another, made with uv and kept under build/host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from uv import find_uv_bin

from pilotlight.errors import PilotlightError
from pilotlight_cli.project import BUILD, PROJECT

# The interpreter below any virtual environment, which must not lend its packages to the function.
PYTHON: str = getattr(sys, "_base_executable", None) or sys.executable


class InstallError(PilotlightError):
    """uv could not install what was asked for; the message ends with uv's own words."""


def isolated_python(python: str = PYTHON) -> list[str]:
    """The command of an interpreter that sees PYTHONPATH and the standard library, and no site-packages at all.

    A dependency that is missing in a package is then missing on the developer's machine too.
    """
    return [python, "-s", "-S"]


def host_packages(requirements: Sequence[str] | Path, folder: Path = BUILD / "host", *, python: str = PYTHON) -> Path:
    """A folder with those packages, made once in `folder` and then found again.

    A string is the text of a hash-pinned requirements file and a Path its file: nothing is resolved, every file is
    checked. A list holds requirements as one writes them on pip's command line. `python` is the interpreter that will
    import them. Raises InstallError.
    """
    if isinstance(requirements, Path):
        requirements = requirements.read_text()
    pinned = isinstance(requirements, str)
    text = requirements if isinstance(requirements, str) else "".join(f"{line}\n" for line in requirements)
    interpreter = sys.implementation.cache_tag if python == PYTHON else python
    wheels = (interpreter, platform.system(), platform.machine(), str(pinned))
    target = folder / hashlib.sha256("\n".join((*wheels, text)).encode()).hexdigest()[:20]
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _turn(folder / f".{target.name}.turn"):
        if not target.is_dir():
            _install(text, target, python, pinned=pinned)
    return target


def group_packages(group: str, *, python: str = PYTHON) -> Path:
    """A folder with a dependency group of this project, at the versions in uv.lock."""
    text = run_uv(["export", "--frozen", "--only-group", group, "--no-emit-project", "--no-header", "--no-annotate"])
    return host_packages(text, python=python)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its holder, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(text: str, target: Path, python: str, *, pinned: bool) -> None:
    """Make `target` under a temporary name, so that it is there wholly or not at all."""
    for left in target.parent.glob(f".{target.name}.*/"):  # by a process that was killed: it is our turn
        shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made.chmod(0o755)
        # Bytecode now, by the interpreter that will run it: the runtimes are told to write none.
        options = ["--target", str(made), "--python", python, "--only-binary", ":all:", "--compile-bytecode"]
        hashes = ["--require-hashes", "--no-deps"] if pinned else []
        whose = "this machine's Python" if python == PYTHON else python
        run_uv(
            ["pip", "install", *options, *hashes, "-r", "-"],
            text,
            f"Installing {_names(text)} for {whose}",
        )
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _names(text: str) -> str:
    """The first packages in a requirements text, for a progress line."""
    lines = [line.split(";")[0].rstrip(" \\") for line in text.splitlines() if line[:1].isalnum()]
    return ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")


def run_uv(arguments: list[str], text: str = "", doing: str = "", patience: float = 1.0) -> str:
    """What a uv command prints. When it takes longer than `patience` seconds, `doing` tells so on stderr.

    Raises InstallError.
    """
    process = subprocess.Popen(
        [find_uv_bin(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=os.environ | {"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"},
    )
    try:
        printed, said = _communicate(process, text, doing, patience)
    except BaseException:  # an interrupt too must not leave it behind
        process.kill()
        raise
    if process.returncode:
        # A wrong hash is followed by all that would have been right, which nobody reads.
        lines = [line for line in said.strip().splitlines() if not line.strip().startswith("sha256:")]
        last = "\n".join(lines[-12:])
        raise InstallError(f"'uv {arguments[0]}' ended with exit code {process.returncode}:\n{last}")
    return printed


def _communicate(process: subprocess.Popen[str], text: str, doing: str, patience: float) -> tuple[str, str]:
    try:
        return process.communicate(text, timeout=patience)
    except subprocess.TimeoutExpired:
        pass
    if doing:  # a still line: the caller may have a moving one
        Console(stderr=True).print(doing, highlight=False, markup=False, soft_wrap=True)
    return process.communicate()
