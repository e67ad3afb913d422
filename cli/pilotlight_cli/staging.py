"""Puts a deployable folder together: a function folder, the core, the lock, the golden samples, the libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pilotlight.description import load_lock
from pilotlight.errors import FormatError, PilotlightError
from pilotlight_cli.locking import check_requirements
from pilotlight_cli.project import CORE, FUNCTIONS

# The functions' Python and platform, as `pin` resolves for them.
PYTHON_VERSION = "3.13"
PLATFORM = "x86_64-manylinux_2_28"

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the unzipped package, layers included.
MAX_BYTES = 262_144_000

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc", "requirements.in", "requirements.lock", ".*")
_SHOWN_PARTS = 8


class BuildError(PilotlightError):
    """A package cannot be put together, or is too large to deploy."""


@dataclass(frozen=True, slots=True)
class Package:
    """A staged package: where it lies, its size in bytes, and the size of each top-level part, largest first.

    `bytecode` is the interpreter that compiled it, or empty where none of the functions' version was found.
    """

    cloud: str
    folder: Path
    size: int
    parts: tuple[tuple[str, int], ...]
    bytecode: str


def build(cloud: str, lock: Path, out: Path, say: Callable[[str], None]) -> Package:
    """Stage the package for a cloud in `out`, which is replaced. `say` is told what takes its time.

    On AWS the libraries go into the folder; Google's builder installs them itself, from requirements.txt.
    """
    pinned = load_lock(lock)
    pins = requirements(cloud, lock)
    check_requirements(pinned, (lock.parent / "requirements.lock").read_text())
    staged = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        stage_sources(cloud, lock, staged)
        bytecode = ""
        if cloud == "aws":
            say(f"installing {len(_pins(pins))} packages for Python {PYTHON_VERSION}")
            _install(pins, staged)
            bytecode = _compile(staged, say)
        else:
            (staged / "requirements.txt").write_text(pins)
        package = _measure(cloud, staged, out, bytecode)
        shutil.rmtree(out, ignore_errors=True)
        staged.replace(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return package


def stage_sources(cloud: str, lock: Path, out: Path) -> None:
    """Copy everything but the libraries to `out`, which must not exist: the folder's files land at its root."""
    shutil.copytree(FUNCTIONS / cloud / "predict", out, ignore=_NOT_SOURCES)
    shutil.copytree(CORE, out / "pilotlight", ignore=_NOT_SOURCES)
    shutil.copyfile(lock, out / "model.lock")
    shutil.copyfile(lock.parent / "golden.json", out / "golden.json")


def requirements(cloud: str, lock: Path) -> str:
    """The hash-pinned requirements of a package: the model's own, and on Google Cloud the framework's.

    Both files were resolved so that a package that stands in both has one version; where it has not, this fails.
    """
    files = [lock.parent / "requirements.lock", FUNCTIONS / cloud / "predict" / "requirements.lock"]
    found: dict[str, tuple[str, Path]] = {}
    for file in (file for file in files if file.exists()):
        for pin in _pins(file.read_text()):
            name = pin.partition("==")[0]
            other, where = found.setdefault(name, (pin, file))
            if _version(other) != _version(pin):
                raise FormatError(
                    f"{where.name} pins {_version(other)} and {file} pins {_version(pin)}; run 'pilotlight pin' again"
                )
    return "".join(f"{found[name][0]}\n" for name in sorted(found))


def _pins(text: str) -> list[str]:
    """The requirements in a file as uv writes it: one line each, with hashes on the lines that continue it."""
    pins: list[str] = []
    for line in text.splitlines():
        if line[:1].isspace() and pins and line.strip().startswith("--hash"):
            pins[-1] += f"\n{line}"
        elif line.strip() and not line.strip().startswith("#"):
            pins.append(line)
    return pins


def _version(pin: str) -> str:
    return pin.partition("\n")[0].rstrip(" \\")


def _install(pins: str, target: Path) -> None:
    command = [
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--target", str(target)),
        *("--python-version", PYTHON_VERSION, "--python-platform", PLATFORM),
        *("--only-binary", ":all:", "--no-deps", "--require-hashes", "--requirement", "-"),
    ]
    done = subprocess.run(command, input=pins, text=True, capture_output=True, check=False)
    if done.returncode:
        raise BuildError(f"the libraries that requirements.lock pins cannot be installed:\n{done.stderr.strip()}")
    for path in (target / "bin", target / ".lock"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _compile(folder: Path, say: Callable[[str], None]) -> str:
    """Compile the package for the functions' Python; the interpreter that did, or "" where there is none.

    Bytecode checked against nothing (PEP 552) survives any change of timestamps on the way to the platform.
    """
    interpreter = _interpreter()
    if not interpreter:
        say(f"no Python {PYTHON_VERSION} here: the package has no bytecode, and its cold start compiles every import")
        return ""
    say(f"compiling for Python {PYTHON_VERSION}")
    command = [interpreter, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s"]
    subprocess.run([*command, str(folder), str(folder)], check=True, capture_output=True)
    return interpreter


def _interpreter() -> str:
    """An interpreter of the functions' version that really runs: a version manager's shim may not."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {tuple(map(int, PYTHON_VERSION.split('.')))})"
    for candidate in _candidates():
        with_version = subprocess.run([candidate, "-c", check], capture_output=True, check=False)
        if with_version.returncode == 0:
            return candidate
    return ""


def _candidates() -> Iterable[str]:
    yield sys.executable
    on_path = shutil.which(f"python{PYTHON_VERSION}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(map(str, pyenv.glob(f"versions/{PYTHON_VERSION}.*/bin/python{PYTHON_VERSION}")), reverse=True)


def _measure(cloud: str, staged: Path, out: Path, bytecode: str) -> Package:
    sizes: dict[str, int] = {}
    for path in staged.rglob("*"):
        if path.is_file():
            part = path.relative_to(staged).parts[0]
            sizes[part] = sizes.get(part, 0) + path.stat().st_size
    parts = tuple(sorted(sizes.items(), key=lambda part: -part[1]))
    package = Package(cloud, out, sum(sizes.values()), parts, bytecode)
    if package.size > MAX_BYTES:
        largest = "\n".join(f"  {megabytes(size):>9}  {name}" for name, size in parts[:_SHOWN_PARTS])
        raise BuildError(
            f"the package has {megabytes(package.size)}, and AWS Lambda takes {megabytes(MAX_BYTES)} unzipped. "
            f"Its largest parts:\n{largest}"
        )
    return package


def megabytes(size: int) -> str:
    """A size in bytes for people: `78.3 MB`, of a million bytes each."""
    return f"{size / 1e6:.1f} MB"
