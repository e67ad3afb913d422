"""What `publish` finds out about a model file: its format, its signature, its samples, the versions that it needs.

A file is recognised here by its bytes alone. What loads it is a process of its own, which has the model's own
libraries, none of the command's, and none of the developer's credentials.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Final

from pilotlight.description import GLOBAL, Runtime
from pilotlight.errors import FormatError, ModelError, PilotlightError, RuntimeMismatch, UnsafePickle
from pilotlight.golden import Golden
from pilotlight.primitives import forbidden
from pilotlight.signature import Signature
from pilotlight_cli.admitted import admitted
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.project import CORE, PROJECT
from pilotlight_cli.recognition import NotRecognised, Recognised, recognise
from pilotlight_cli.workbench.job import Answer, Job, UsageError, read_answer, write_job

__all__ = ["Inspection", "UsageError", "inspect"]

# The file format's own library; versions before this one built objects that it had not checked.
SKOPS: Final = "0.16.0"

# The first scikit-learn with wheels for the functions' Python 3.13.
OLDEST_SKLEARN: Final = (1, 5, 2)

# What was current with each scikit-learn: later releases of numpy and scipy have dropped what it uses.
_WITH: Final[dict[tuple[int, ...], tuple[str, ...]]] = {
    (1, 5): ("numpy>=2.1,<2.2", "scipy>=1.14.1,<1.15"),
    (1, 6): ("numpy>=2.1,<2.3", "scipy>=1.14.1,<1.16"),
    (1, 7): ("numpy>=2.1,<2.4", "scipy>=1.14.1,<1.17"),
    (1, 8): ("numpy>=2.1,<2.5", "scipy>=1.14.1,<1.18"),
}
_LATER: Final = ("numpy>=2.1,<3", "scipy>=1.14.1")

_SKLEARN_PACKAGES: Final = ("joblib", "numpy", "scikit-learn", "scipy")
_KNOWN_ROOTS: Final = frozenset({"_loss", "numpy", "scipy", "sklearn"})

# What the child raises on purpose.
_ERRORS: Final[dict[str, type[PilotlightError]]] = {
    kind.__name__: kind for kind in (FormatError, ModelError, NotRecognised, RuntimeMismatch, UnsafePickle, UsageError)
}

# What the child gets of this process's environment.
_ENVIRONMENT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model file as it is to be published. `files[0]` is what the runtime opens; `notes` say what was guessed."""

    format: str
    files: tuple[Path, ...]
    runtime: Runtime
    signature: Signature
    golden: Golden
    allowed_globals: tuple[str, ...] = ()
    extra_globals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def inspect(
    path: Path,
    *,
    format: str | None,  # noqa: A002 - the option's name
    signature: bytes | None,
    golden: bytes | None,
    allow: Sequence[str],
) -> Inspection:
    """Look into the model file at `path`; `signature` and `golden` are the contents of the publisher's own files.

    `files` may hold one that was saved again, in a folder that lasts as long as this process. Raises NotRecognised,
    UsageError (the options do not go with the file), ModelError (the model cannot be served), UnsafePickle,
    FormatError, or InstallError.
    """
    _check_allowed(allow)
    path = path.absolute()
    found = recognise(path)
    providers = _providers(allow)
    job = Job(
        path=path,
        kind=found.kind,
        wanted=format or "",
        signature=_text(signature, "the signature"),
        golden=_text(golden, "the golden samples"),
        admitted=admitted(),
        allow=tuple(dict.fromkeys(allow)),
        folder=_scratch(),
        numpy_major=found.numpy_major,
        packages=(*(["numpy"] if found.kind == "onnx" else _SKLEARN_PACKAGES), *providers),
        labels=found.labels,
        words=found.words,
    )
    answer = _run(job, host_packages([*_requirements(path, found), *providers.values()]))
    allowed, extra = answer.names
    return Inspection(
        format=answer.format,
        files=(answer.path, *found.companions),
        runtime=answer.runtime,
        signature=answer.signature,
        golden=answer.golden,
        allowed_globals=allowed,
        extra_globals=extra,
        notes=answer.notes,
    )


def _check_allowed(allow: Sequence[str]) -> None:
    """Names that may be allowed at all. Raises UsageError."""
    for name in allow:
        if not re.fullmatch(GLOBAL, name):
            raise UsageError(f"--allow {name}: expected module.name, like sklearn.linear_model._ridge.Ridge")
        if forbidden(name):
            raise UsageError(
                f"--allow {name}: this one can run or load anything, or leads there, and is never allowed; save the "
                "model without it"
            )


def _providers(allow: Sequence[str]) -> dict[str, str]:
    """The packages, at the versions installed here, that hold what was allowed; the function needs them too."""
    strangers = {name: name.partition(".")[0] for name in allow}
    known = _KNOWN_ROOTS | sys.stdlib_module_names
    strangers = {name: root for name, root in strangers.items() if root not in known}
    distributions = packages_distributions() if strangers else {}
    found = {}
    for name, root in strangers.items():
        if root not in distributions:
            raise UsageError(
                f"--allow {name}: no package here provides {root}, so that its version could be pinned; install the "
                "one that does beside pilotlight"
            )
        package = distributions[root][0]
        found[package] = f"{package}=={version(package)}"
    return found


def _requirements(path: Path, found: Recognised) -> list[str]:
    """What the child needs to load the model. Raises ModelError for a scikit-learn that no function could have."""
    if found.kind == "onnx":
        return [f"{package}=={version(package)}" for package in ("numpy", "onnxruntime")]
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?$", found.sklearn)
    release = tuple(int(number or 0) for number in numbers.groups()) if numbers else ()
    if release < OLDEST_SKLEARN:
        oldest = ".".join(map(str, OLDEST_SKLEARN))
        raise ModelError(
            f"{path.name} was made with scikit-learn {found.sklearn}, expected a release from {oldest} on, the first "
            "for the functions' Python 3.13; train it again with one, or convert it to ONNX"
        )
    needs = _WITH.get(release[:2], _LATER)
    return [f"scikit-learn=={found.sklearn}", *needs, "joblib", f"skops=={SKOPS}"]


def _scratch() -> Path:
    """A folder for files that are saved again, which goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="pilotlight-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _text(content: bytes | None, about: str) -> str:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error}", "", about) from None


def _run(job: Job, packages: Path) -> Answer:
    """Have the child do the job, with those packages and nothing else but Pilotlight and the standard library."""
    job_file, answer_file = job.folder / "job.json", job.folder / "answer.json"
    job_file.write_text(json.dumps(write_job(job)))
    done = subprocess.run(
        [*isolated_python(), "-P", "-m", "pilotlight_cli.workbench", str(job_file), str(answer_file)],
        env=_environment(packages),
        cwd=job.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if not answer_file.exists():
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        said = "\n".join(done.stderr.strip().splitlines()[-6:])
        raise ModelError(f"the process that looked into {job.path.name} ended with {how}; it said:\n{said}")
    document = json.loads(answer_file.read_bytes())
    if "error" in document:
        kind = _ERRORS.get(document["error"], ModelError)
        raise FormatError(document["message"], "") if kind is FormatError else kind(document["message"])
    return read_answer(document)


def _environment(packages: Path) -> dict[str, str]:
    """Where the child finds its modules, and nothing else that it does not need."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, (packages, CORE.parent, PROJECT / "cli")))}
