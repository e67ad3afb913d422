"""The libraries of a package: the pinned ones for a cloud, and their installation for the functions' platform."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.model.formats import ENGINES, Engine
from pilotlight.model.lock import load_lock
from pilotlight_cli.hostenv import InstallError, run_uv
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.pinning.requirements import CORE_PACKAGES, PLATFORMS, PYTHON_VERSION, pin_lines, pins
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.staging.package import BuildError
from pilotlight_cli.staging.sources import BATCH, CONTAINER, PREDICT, beside, function_folder
from pilotlight_cli.staging.trim import prune


def requirements(cloud: str, lock: Path, function: str = PREDICT) -> str:
    """Return the hash-pinned requirements of a package: the model's own, and those of the platform, if it has any.

    On Google Cloud they are the framework's; in a container those of its function and the clients of the stores; for
    files pyarrow.

    `pin` wrote each package with all its dependencies, because Google's builder resolves and checks what it installs.
    On AWS and in a container, an engine that opens only some files of its packages comes without their dependencies:
    the C API uses neither numpy nor protobuf. Both files were resolved together: raise FormatError if a package has two
    versions.
    """
    model = decode_text(beside(lock, REQUIREMENTS), REQUIREMENTS)
    has_own = cloud == CONTAINER or function == BATCH
    platform = function_folder(cloud, function if has_own else PREDICT) / REQUIREMENTS
    frame = platform.read_text() if platform.exists() else ""
    for name in sorted(pins(model).keys() & pins(frame).keys()):
        if pins(model)[name] != pins(frame)[name]:
            raise FormatError(
                f"{REQUIREMENTS} pins {name}=={pins(model)[name]} and {platform} pins {name}=={pins(frame)[name]}; run "
                "'pilotlight pin' again",
                path="",
            )
    lines = pin_lines(frame) | pin_lines(model)
    engine = ENGINES[load_lock(lock).model.runtime.engine]
    if cloud != "gcp" and engine.only:
        used = {*engine.packages, *pins("\n".join(CORE_PACKAGES)), *pins(frame)}
        used |= {"numpy"} if function == BATCH else set()
        lines = {name: line for name, line in lines.items() if name in used}
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
