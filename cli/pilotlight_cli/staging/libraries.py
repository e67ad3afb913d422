"""The libraries of a package: the pinned ones for a cloud, and their installation for the functions' platform."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.formats import ENGINES, Engine
from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.hostenv import InstallError, run_uv
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.pinning.requirements import CLIENT_LOCK, CORE_PACKAGES, PLATFORMS, PYTHON_VERSION, pin_lines, pins
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.staging.package import BuildError
from pilotlight_cli.staging.sources import BATCH, CONTAINER, GPU, PREDICT, beside, function_folder
from pilotlight_cli.staging.trim import prune

_LIBRARY, _FOR_CUDA = "onnxruntime", "onnxruntime-gpu"


def requirements(cloud: str, lock: Path, function: str = PREDICT, *, client: bool = True) -> str:
    """Return the hash-pinned requirements of a package: the model's own, and those of the platform, if it has any.

    On Google Cloud they are the framework's and, with `client`, those of Google's client for what plain GETs of the
    store cannot do; in a container those of its function and the clients of the stores; for files pyarrow; on a GPU
    ONNX Runtime for CUDA in place of the model's, and CUDA's own.

    An engine that opens only some files of its packages comes without their dependencies: the C API uses neither numpy
    nor protobuf. All files were resolved together: raise FormatError if a package has two versions, and BuildError for
    a model that no GPU runs.
    """
    if (cloud, function) == (CONTAINER, GPU):
        return _on_gpu(lock)
    model = decode_text(beside(lock, REQUIREMENTS), REQUIREMENTS)
    has_own = cloud == CONTAINER or function == BATCH
    platforms = [function_folder(cloud, function if has_own else PREDICT) / REQUIREMENTS]
    if cloud == "gcp" and client:
        platforms.append(CLIENT_LOCK)
    frame: dict[str, str] = {}
    for platform in platforms:
        text = platform.read_text() if platform.exists() else ""
        for name in sorted(pins(model).keys() & pins(text).keys()):
            if pins(model)[name] != pins(text)[name]:
                raise FormatError(
                    f"{REQUIREMENTS} pins {name}=={pins(model)[name]} and {platform} pins {name}=={pins(text)[name]}; "
                    "run 'pilotlight pin' again",
                    path="",
                )
        frame |= pin_lines(text)
    lines = frame | pin_lines(model)
    engine = ENGINES[load_lock(lock).model.runtime.engine]
    if engine.only:
        used = {*engine.packages, *pins("\n".join(CORE_PACKAGES)), *frame}
        used |= {"numpy"} if function == BATCH else set()
        lines = {name: line for name, line in lines.items() if name in used}
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


def divided(text: str, engine: Engine) -> tuple[str, str]:
    """Return the requirements that a package for Google Cloud holds, and those that Google's builder installs.

    An engine of which only some files are opened is held: the builder would install all of it.
    """
    lines, of_engine = pin_lines(text), {*engine.packages} if engine.only else set()
    held = "".join(f"{line}\n" for name, line in lines.items() if name in of_engine)
    installed = "".join(f"{line}\n" for name, line in lines.items() if name not in of_engine)
    return held, installed


def _on_gpu(lock: Path) -> str:
    """Return the requirements of the server on a GPU: those of the server, with another wheel of the same library."""
    pinned = load_lock(lock).model
    if not ENGINES[pinned.runtime.engine].accelerates:
        able = " or ".join(engine.name for engine in ENGINES.values() if engine.accelerates)
        raise BuildError(f"{lock} names the engine {pinned.runtime.engine}, expected {able}: no other runs on a GPU")
    frame = (FUNCTIONS / CONTAINER / GPU / REQUIREMENTS).read_text()
    found, expected = pinned.runtime.packages[_LIBRARY], pins(frame)[_FOR_CUDA]
    if found != expected:
        raise BuildError(
            f"{lock} names {_LIBRARY} {found}, expected {expected}, of which the wheel for CUDA is pinned; publish the "
            f"model again with {_LIBRARY}=={expected}, and pin that"
        )
    lines = pin_lines(requirements(CONTAINER, lock))
    del lines[_LIBRARY]
    lines |= {name: line for name, line in pin_lines(frame).items() if name.startswith((_FOR_CUDA, "nvidia-"))}
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


def install(text: str, target: Path, architecture: str, engine: Engine) -> None:
    """Install what a requirements text pins, without what the engine does not use. Raise BuildError."""
    options = ["--no-config", "--target", str(target), "--python", sys.executable]
    platform = ["--python-version", PYTHON_VERSION, "--python-platform", PLATFORMS[architecture]]
    only = ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--requirement", "-"]
    try:
        run_uv(["pip", "install", "--quiet", *options, *platform, *only], text)
    except InstallError as error:
        raise BuildError(
            f"the libraries that {REQUIREMENTS} pins cannot be installed for {PLATFORMS[architecture]}: {error}"
        ) from error
    for path in (target / "bin", target / ".lock"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    prune(target, engine)
    for record in target.glob("*.dist-info/RECORD"):
        _forget_removed(record, target)


def _forget_removed(record: Path, target: Path) -> None:
    """Leave in a distribution's RECORD the files that are there; a script's hash contains this machine's paths."""
    with record.open(newline="") as file:
        rows = [row for row in csv.reader(file) if (target / row[0]).exists()]
    with record.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
