"""Where model files are read: in a process of its own, with the model's own libraries and within limits.

It has none of the command's libraries and none of the developer's credentials. It ends with this process, at its limits
of memory and of time, and with Ctrl-C.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import FormatError, ModelError, PilotlightError, RuntimeMismatch, UnsafePickle
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.process import tethered
from pilotlight_cli.project import CORE, PROJECT
from pilotlight_cli.sandbox.child.exhaustion import OUT_OF_MEMORY, tells_exhaustion
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import Limits, memory_sentence, time_sentence

# What the child raises on purpose.
_ERRORS: Final[dict[str, type[PilotlightError]]] = {
    kind.__name__: kind for kind in (FormatError, ModelError, NotRecognised, RuntimeMismatch, UnsafePickle, UsageError)
}

# What the child gets of this process's environment, and one thread for its libraries: they reserve memory for each,
# on a large machine more than a model takes.
_ENVIRONMENT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_GLANCE: Final = 0.1  # seconds between looks at what it holds
_SAID: Final = 4096  # bytes of what it says


class _TooLarge(Exception):
    """The process holds more memory than its limit."""


def ask(
    task: str, job: dict[str, Any], packages: Path | None, folder: Path, about: str, *, limits: Limits
) -> dict[str, Any]:
    """Have the child do a task of `pilotlight_cli.sandbox.child`, with those packages and the standard library alone.

    `job` and the result are JSON documents, which lie in `folder` meanwhile; `about` is what a message calls the model.
    Raises what the child raised on purpose, and ModelError where it reached a limit or died of something else.
    """
    job_file, answer_file = folder / f"{task}-job.json", folder / f"{task}-answer.json"
    job_file.write_text(json.dumps(job))
    answer_file.unlink(missing_ok=True)
    counted = "0" if limits.watched else str(limits.memory)
    command = [*isolated_python(), "-P", "-m", "pilotlight_cli.sandbox.child", task, str(job_file), str(answer_file)]
    said = folder / f"{task}-said.txt"
    try:
        code = _run([*command, counted, str(limits.seconds)], _environment(packages), said, limits)
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the process that looked into {about} waited for something, and was ended after {limits.patience} "
            "seconds; do it again, with the file on a disk of this machine"
        ) from None
    except _TooLarge:
        raise ModelError(memory_sentence(about, limits)) from None
    if not answer_file.exists():
        raise _death(about, code, said, limits)
    document: dict[str, Any] = json.loads(answer_file.read_bytes())
    if document.get("error") == OUT_OF_MEMORY:
        raise ModelError(memory_sentence(about, limits))
    if "error" in document:
        kind = _ERRORS.get(document["error"], ModelError)
        raise FormatError(document["message"], "") if kind is FormatError else kind(document["message"])
    return document


def scratch() -> Path:
    """A folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="pilotlight-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _run(command: Sequence[str], environ: Mapping[str, str], said: Path, limits: Limits) -> int:
    """The exit code of a command, which nothing outlives. What it says goes to a file, however much that is.

    Raises TimeoutExpired, or _TooLarge where we are to look at its memory.
    """
    with said.open("wb") as out:
        process = subprocess.Popen(
            tethered(command, os.getpid()),
            cwd=said.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _wait(process, limits)
    finally:  # an interrupt too must not leave it behind
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], limits: Limits) -> int:
    if not limits.watched:
        return process.wait(limits.patience)
    end = time.monotonic() + limits.patience
    while time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_GLANCE)
        if _resident(process.pid) > limits.memory:
            raise _TooLarge
    raise subprocess.TimeoutExpired(process.args, limits.patience)


def _resident(pid: int) -> int:
    """The bytes that a process holds in memory; 0 where it ended."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(told.strip() or 0) * 1024


def _death(about: str, code: int, said: Path, limits: Limits) -> ModelError:
    """What a process died of that left no answer."""
    with said.open("rb") as content:
        content.seek(max(0, said.stat().st_size - _SAID))
        last = content.read().decode(errors="replace").strip()
    if code == -signal.SIGXCPU:
        return ModelError(time_sentence(about, limits))
    if tells_exhaustion(last):
        return ModelError(memory_sentence(about, limits))
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    lines = "\n".join(last.splitlines()[-6:])
    return ModelError(f"the process that looked into {about} ended with {how}; it said:\n{lines}")


def _environment(packages: Path | None) -> dict[str, str]:
    """Where the child finds its modules, and nothing else that it does not need."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    folders = [*([packages] if packages else []), CORE.parent, PROJECT / "cli"]
    return kept | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
