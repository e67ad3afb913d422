"""Isolated environments for this machine's Python or another, made with uv and kept in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path
from rich.console import Console
from uv import find_uv_bin

from pilotlight.errors import PilotlightError

# The interpreter below any virtual environment, whose packages must not reach the function.
PYTHON: str = getattr(sys, "_base_executable", None) or sys.executable


CACHE = user_cache_path("pilotlight", appauthor=False)

# The packages that runtimes need beside a function's own, from the groups of pyproject.toml.
PINNED = Path(__file__).with_name("pinned")


class InstallError(PilotlightError):
    """uv failed to install packages; the message ends with uv's own output."""


def isolated_python(python: str = PYTHON) -> list[str]:
    """Return the command of an interpreter with PYTHONPATH and the standard library, but no site-packages.

    A dependency that a package lacks is then missing on the developer's machine too.
    """
    return [python, "-s", "-S"]


def host_packages(
    requirements: Sequence[str] | Path, folder: Path = CACHE / "packages", *, python: str = PYTHON
) -> Path:
    """Return a folder with those packages, installed into `folder` once and reused.

    A string is the text of a hash-pinned requirements file and a Path its file: nothing is resolved, and every file's
    hash is checked. A list has requirements in the form of pip's command line. `python` is the interpreter that will
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
    with _exclusive(folder / f".{target.name}.lock"):
        if not target.is_dir():
            _install(text, target, python, pinned=pinned)
    return target


def group_packages(group: str, *, python: str = PYTHON) -> Path:
    """Return a folder with the packages that pinned/GROUP.txt lists, `lambda-runtime` or `sam-cli`."""
    return host_packages(PINNED / f"{group}.txt", python=python)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; the system releases it however its holder ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(text: str, target: Path, python: str, *, pinned: bool) -> None:
    """Install into a temporary folder and rename it, so that `target` is complete or missing."""
    for leftover in target.parent.glob(f".{target.name}.*/"):  # of a killed process; this one has the lock
        shutil.rmtree(leftover)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made.chmod(0o755)
        # Compile now, with the interpreter that will run it: the runtimes write no bytecode.
        options = ["--target", str(made), "--python", python, "--only-binary", ":all:", "--compile-bytecode"]
        # PyTorch's own index has builds for the processor alone, a tenth of the size. pip's folders come first.
        if any(line.startswith("torch==") for line in text.splitlines()) and not _find_links(os.environ):
            options += ["--torch-backend", "cpu"]
        hashes = ["--require-hashes", "--no-deps"] if pinned else []
        interpreter = "this machine's Python" if python == PYTHON else python
        run_uv(
            ["pip", "install", *options, *hashes, "-r", "-"],
            text,
            f"Installing {_names(text)} for {interpreter}",
        )
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _names(text: str) -> str:
    """Return the first packages of a requirements text, for a progress line."""
    lines = [line.split(";")[0].rstrip(" \\") for line in text.splitlines() if line[:1].isalnum()]
    return ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")


def run_uv(arguments: list[str], text: str = "", doing: str = "", quiet_seconds: float = 1.0) -> str:
    """Return a uv command's output. If it takes longer than `quiet_seconds`, print `doing` on stderr.

    Raises InstallError.
    """
    process = subprocess.Popen(
        [find_uv_bin(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tempfile.gettempdir(),  # uv would read the settings of the project here
        env=os.environ | _find_links(os.environ) | {"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"},
    )
    try:
        output, errors = _communicate(process, text, doing, quiet_seconds)
    except BaseException:  # an interrupt too must not leave uv running
        process.kill()
        raise
    if process.returncode:
        # After a wrong hash uv lists all valid ones.
        lines = [line for line in errors.strip().splitlines() if not line.strip().startswith("sha256:")]
        last = "\n".join(lines[-12:])
        raise InstallError(f"'uv {arguments[0]}' ended with exit code {process.returncode}:\n{last}")
    return output


def _find_links(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's folders of private packages in uv's form, unless uv has its own. Both take several."""
    if "UV_FIND_LINKS" in environ:
        return {}
    places = [place for place in environ.get("PIP_FIND_LINKS", "").split() if "://" in place or Path(place).exists()]
    return {"UV_FIND_LINKS": ",".join(places)} if places else {}


def _communicate(process: subprocess.Popen[str], text: str, doing: str, quiet_seconds: float) -> tuple[str, str]:
    try:
        return process.communicate(text, timeout=quiet_seconds)
    except subprocess.TimeoutExpired:
        pass
    if doing:  # a plain line: the caller may show a spinner
        Console(stderr=True).print(doing, highlight=False, markup=False, soft_wrap=True)
    return process.communicate()
