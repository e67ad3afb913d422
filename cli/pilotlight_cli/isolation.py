"""Where model files are loaded: in a process of its own, with the model's own libraries.

It has none of the command's libraries and none of the developer's credentials.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import FormatError, ModelError, PilotlightError, RuntimeMismatch, UnsafePickle
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.project import CORE, PROJECT
from pilotlight_cli.recognition import NotRecognised
from pilotlight_cli.workbench.job import UsageError

# What the child raises on purpose.
_ERRORS: Final[dict[str, type[PilotlightError]]] = {
    kind.__name__: kind for kind in (FormatError, ModelError, NotRecognised, RuntimeMismatch, UnsafePickle, UsageError)
}

# What the child gets of this process's environment.
_ENVIRONMENT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


def ask(task: str, job: dict[str, Any], packages: Path, folder: Path, about: str) -> dict[str, Any]:
    """Have the child do a task of `pilotlight_cli.workbench`, with those packages and the standard library alone.

    `job` and the result are JSON documents, which lie in `folder` meanwhile; `about` is what a message calls the model.
    Raises what the child raised on purpose, and ModelError where it died of something else.
    """
    job_file, answer_file = folder / f"{task}-job.json", folder / f"{task}-answer.json"
    job_file.write_text(json.dumps(job))
    answer_file.unlink(missing_ok=True)
    done = subprocess.run(
        [*isolated_python(), "-P", "-m", "pilotlight_cli.workbench", task, str(job_file), str(answer_file)],
        env=_environment(packages),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if not answer_file.exists():
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        said = "\n".join(done.stderr.strip().splitlines()[-6:])
        raise ModelError(f"the process that looked into {about} ended with {how}; it said:\n{said}")
    document: dict[str, Any] = json.loads(answer_file.read_bytes())
    if "error" in document:
        kind = _ERRORS.get(document["error"], ModelError)
        raise FormatError(document["message"], "") if kind is FormatError else kind(document["message"])
    return document


def scratch() -> Path:
    """A folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="pilotlight-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _environment(packages: Path) -> dict[str, str]:
    """Where the child finds its modules, and nothing else that it does not need."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, (packages, CORE.parent, PROJECT / "cli")))}
