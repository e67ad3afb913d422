"""Puts a deployable folder together: a function folder, the core, the lock, the golden samples, the libraries."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pilotlight.description import GOLDEN, File, Lock, load_lock
from pilotlight.errors import FormatError, PilotlightError
from pilotlight_cli.hostenv import InstallError, run_uv
from pilotlight_cli.locking import REQUIREMENTS, check_requirements
from pilotlight_cli.project import CORE, FUNCTIONS
from pilotlight_cli.pruning import prune
from pilotlight_cli.requirements import PLATFORM, PYTHON_VERSION, pin_lines, pins

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the unzipped package, layers included.
MAX_BYTES = 262_144_000

# The time of every file in a package, 2 January 1980: the first whole day that a zip archive can tell in any time zone.
_TIME = 315_619_200

_NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc", "requirements.in", REQUIREMENTS, ".*")
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
    text = requirements(cloud, lock)
    check_requirements(pinned, _beside(lock, REQUIREMENTS).decode())
    _check_golden(pinned, lock)
    staged = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        stage_sources(cloud, lock, staged)
        bytecode = ""
        if cloud == "aws":
            say(f"installing {len(pins(text))} packages for Python {PYTHON_VERSION}")
            _install(text, staged)
            prune(staged)
            bytecode = _compile(staged, say)
        else:
            (staged / "requirements.txt").write_text(text)
        _normalise(staged)
        package = _measure(cloud, staged, out, bytecode)
        shutil.rmtree(out, ignore_errors=True)
        staged.replace(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return package


def stage_sources(cloud: str, lock: Path, out: Path) -> None:
    """Copy everything but the libraries to `out`, which must not exist: the folder's files land at its root.

    Raises FormatError where what `pin` wrote beside the lock is not there. The function itself judges the lock.
    """
    written = {name: _beside(lock, name) for name in (GOLDEN, REQUIREMENTS)}
    shutil.copytree(FUNCTIONS / cloud / "predict", out, ignore=_NOT_SOURCES)
    shutil.copytree(CORE, out / "pilotlight", ignore=_NOT_SOURCES)
    shutil.copyfile(lock, out / "model.lock")
    for name, content in written.items():
        (out / name).write_bytes(content)


def requirements(cloud: str, lock: Path) -> str:
    """The hash-pinned requirements of a package: the model's own, and on Google Cloud the framework's.

    Both files were resolved so that a package that stands in both has one version; where it has not, this fails.
    """
    model = _beside(lock, REQUIREMENTS).decode()
    platform = FUNCTIONS / cloud / "predict" / REQUIREMENTS
    frame = platform.read_text() if platform.exists() else ""
    for name in sorted(pins(model).keys() & pins(frame).keys()):
        if pins(model)[name] != pins(frame)[name]:
            raise FormatError(
                f"{REQUIREMENTS} pins {name}=={pins(model)[name]} and {platform} pins {name}=={pins(frame)[name]}; run "
                "'pilotlight pin' again",
                path="",
            )
    lines = pin_lines(frame) | pin_lines(model)
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


def _beside(lock: Path, name: str) -> bytes:
    """A file that `pin` wrote with the lock."""
    file = lock.with_name(name)
    try:
        return file.read_bytes()
    except OSError as error:
        raise FormatError(
            f"{file}, which belongs to {lock.name}, cannot be read ({error.strerror}); run 'pilotlight pin' again",
            path="",
        ) from None


def _check_golden(pinned: Lock, lock: Path) -> None:
    """Refuse golden samples that were not written with this lock."""
    content, expected = _beside(lock, GOLDEN), pinned.model.golden
    found = File(expected.name, len(content), hashlib.sha256(content).hexdigest())
    if found != expected:
        again = f"run 'pilotlight pin {pinned.model.name}:{pinned.model.version}' again"
        raise FormatError(
            f"{lock.with_name(GOLDEN)} has {found.size} bytes with SHA-256 {found.sha256}, expected {expected.size} "
            f"bytes with {expected.sha256} as model.lock says; {again}",
            path="",
        )


def _install(text: str, target: Path) -> None:
    options = ["--no-config", "--target", str(target), "--python", sys.executable]
    platform = ["--python-version", PYTHON_VERSION, "--python-platform", PLATFORM]
    only = ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--requirement", "-"]
    try:
        run_uv(["pip", "install", "--quiet", *options, *platform, *only], text)
    except InstallError as error:
        raise BuildError(f"the libraries that {REQUIREMENTS} pins cannot be installed: {error}") from error
    for path in (target / "bin", target / ".lock"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _normalise(folder: Path) -> None:
    """One mode and one time for all: Lambda's user reads what a strict umask hid, equal trees make equal archives."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


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
    done = subprocess.run([*command, str(folder), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the package does not compile with {interpreter}:\n{(done.stdout + done.stderr).strip()}")
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
    if cloud == "aws" and package.size > MAX_BYTES:
        largest = "\n".join(f"  {megabytes(size):>9}  {name}" for name, size in parts[:_SHOWN_PARTS])
        raise BuildError(
            f"the package has {megabytes(package.size)}, and AWS Lambda takes {megabytes(MAX_BYTES)} unzipped. "
            f"Its largest parts:\n{largest}"
        )
    return package


def megabytes(size: int) -> str:
    """A size in bytes for people: `78.3 MB`, of a million bytes each."""
    return f"{size / 1e6:.1f} MB"
