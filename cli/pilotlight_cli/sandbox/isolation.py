"""Reading model files in a child process, with the model's own libraries and within limits.

The child has neither the command's libraries nor the developer's credentials. It ends with this process, at its limits
of memory and of time, and with Ctrl-C.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pilotlight_cli
from pilotlight.errors import FormatError, ModelError, PilotlightError, RuntimeMismatch, UnsafePickle
from pilotlight_cli.assets import CORE
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.hostenv import PYTHON, isolated_python
from pilotlight_cli.local.process import tethered
from pilotlight_cli.sandbox.child.exhaustion import OUT_OF_MEMORY, mentions_exhaustion
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import Limits, memory_sentence, time_sentence

# What the child raises on purpose.
_ERRORS: Final[dict[str, type[PilotlightError]]] = {
    kind.__name__: kind for kind in (FormatError, ModelError, NotRecognised, RuntimeMismatch, UnsafePickle, UsageError)
}

# The variables that the child inherits, and one thread for its libraries: they reserve memory for each thread, on a
# large machine more than a model takes.
_ENVIRONMENT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PATH", "TMPDIR")
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

CHILD: Final = "pilotlight_cli.sandbox.child"

_POLL_INTERVAL: Final = 0.1  # seconds between measurements of its memory
_OUTPUT_TAIL: Final = 4096  # bytes


class _TooLarge(Exception):
    """The process holds more memory than its limit."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process, and the file with its output."""

    process: subprocess.Popen[bytes]
    output: Path

    def finish(self, limits: Limits) -> int:
        """Wait until it ends, end all its processes, and return its exit code.

        Raise TimeoutExpired, or _TooLarge where its memory is polled.
        """
        try:
            return _wait(self.process, limits)
        finally:  # on an interrupt too
            self.end()

    def end(self) -> None:
        """End it and all its processes."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Waiting(Protocol):
    """Children that wait for a task: `Spares`."""

    def take(self, task: str, kind: str, packages: Path | None, arguments: Sequence[str]) -> Child | None:
        """Return one that has begun that task, on a kind of file and with those packages; None if there is none."""
        ...


def run_task(
    task: str,
    job: dict[str, Any],
    packages: Path | None,
    folder: Path,
    about: str,
    *,
    limits: Limits,
    module: str = CHILD,
    python: str = PYTHON,
    waiting: Waiting | None = None,
) -> dict[str, Any]:
    """Run a task of a child's module with those packages and the standard library alone.

    `python` may be older than this one. `waiting` may have a process for the task. `job` and the result are JSON
    documents, exchanged in `folder`; `about` is the model's name in messages. Raise the PilotlightError that the child
    raised, or ModelError if it reached a limit or died.
    """
    job_file, result_file = folder / f"{task}-job.json", folder / f"{task}-result.json"
    job_file.write_text(json.dumps(job))
    result_file.unlink(missing_ok=True)
    memory_limit = "0" if limits.polled else str(limits.memory)
    arguments = [task, str(job_file), str(result_file), memory_limit, str(limits.seconds)]
    child = waiting.take(task, job.get("kind", ""), packages, arguments) if waiting else None
    if child is None:
        child = start(folder / f"{task}-output.txt", packages, arguments, module=module, python=python)
    try:
        code = child.finish(limits)
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the process that inspected {about} was ended after {limits.timeout} seconds without a result; copy the "
            "file to a local disk and try again"
        ) from None
    except _TooLarge:
        raise ModelError(memory_sentence(about, limits)) from None
    if not result_file.exists():
        raise _death_error(about, code, child.output, limits)
    document: dict[str, Any] = json.loads(result_file.read_bytes())
    if document.get("error") == OUT_OF_MEMORY:
        raise ModelError(memory_sentence(about, limits))
    if "error" in document:
        kind = _ERRORS.get(document["error"], ModelError)
        raise FormatError(document["message"], "") if kind is FormatError else kind(document["message"])
    return document


def temporary_folder() -> Path:
    """Create a folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="pilotlight-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def start(
    output: Path,
    packages: Path | None,
    arguments: Sequence[str],
    *,
    module: str = CHILD,
    python: str = PYTHON,
    stdin: int = subprocess.DEVNULL,
) -> Child:
    """Start a child's module in the folder of `output`, with those packages and the standard library alone."""
    safe = ["-P"] if python == PYTHON else []  # from Python 3.11; the current folder is the job's own
    with output.open("wb") as out:
        process = subprocess.Popen(
            tethered([*isolated_python(python), *safe, "-m", module, *arguments], os.getpid()),
            cwd=output.parent,
            env=_environment(_code(output.parent), packages),
            stdin=stdin,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(process, output)


def _wait(process: subprocess.Popen[bytes], limits: Limits) -> int:
    if not limits.polled:
        with suppress(OSError):  # Linux before 5.3 has no such handles
            _await_end(process.pid, limits.timeout)
            return process.wait(0)
        return process.wait(limits.timeout)
    end = time.monotonic() + limits.timeout
    while time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_INTERVAL)
        if _resident(process.pid) > limits.memory:
            raise _TooLarge
    raise subprocess.TimeoutExpired(process.args, limits.timeout)


def _await_end(pid: int, seconds: float) -> None:
    """Return as soon as a child of this process has ended, or after that time. `Popen.wait` looks every 50 ms."""
    handle = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        ended.poll(seconds * 1000)
    finally:
        os.close(handle)


def _resident(pid: int) -> int:
    """Return the resident size of a process in bytes; 0 if it has ended."""
    rss = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(rss.strip() or 0) * 1024


def _death_error(about: str, code: int, output: Path, limits: Limits) -> ModelError:
    """Return the error for a process that died without a result."""
    with output.open("rb") as content:
        content.seek(max(0, output.stat().st_size - _OUTPUT_TAIL))
        last = content.read().decode(errors="replace").strip()
    if code == -signal.SIGXCPU:
        return ModelError(time_sentence(about, limits))
    if mentions_exhaustion(last):
        return ModelError(memory_sentence(about, limits))
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    lines = "\n".join(last.splitlines()[-6:])
    return ModelError(f"the process that inspected {about} ended with {how}; its output:\n{lines}")


def _code(folder: Path) -> Path:
    """Return a folder with links to the two packages of Pilotlight: those beside them belong to the command alone."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    for package in (CORE, Path(pilotlight_cli.__file__).resolve().parent):
        link = code / package.name
        link.unlink(missing_ok=True)
        link.symlink_to(package)
    return code


def _environment(code: Path, packages: Path | None) -> dict[str, str]:
    """Return the child's environment: the paths of its modules and the inherited variables."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    folders = [*([packages] if packages else []), code]
    return kept | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
