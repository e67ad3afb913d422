"""Hash-pinned requirements for the functions' Python and platform, resolved by uv."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from pilotlight.errors import PilotlightError
from pilotlight_cli.assets import FUNCTIONS

# What the functions run on.
PYTHON_VERSION = "3.13"
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
PLATFORM = PLATFORMS["x86_64"]  # what is resolved for; the hashes are those of every platform's wheels

# The oldest Python that the command supports: pinned packages should install there too, for `serve` and `verify`.
OLDEST_PYTHON = "3.11"

# What the core itself imports, whatever the engine. One version: it formats the numbers of every response.
CORE_PACKAGES = ("orjson==3.13.0",)

PLATFORM_LOCK = FUNCTIONS / "gcp" / "predict" / "requirements.lock"
# Google's client for Cloud Storage, where a package holds it.
CLIENT_LOCK = FUNCTIONS / "gcp" / "client" / "requirements.lock"
# The locks of functions that need packages of their own.
FUNCTION_LOCKS = tuple(
    FUNCTIONS / place / "requirements.lock"
    for place in ("aws/batch", "container/batch", "container/gpu", "container/kafka", "container/server")
)

# Nothing of the machine may get into the file: no index host, no path, no configuration of the working directory.
_OPTIONS = (
    *("--no-config", "--no-python-downloads", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-index-annotation", "--no-emit-build-options"),
    *("--only-binary", ":all:", "--python-platform", PLATFORM, "--python", sys.executable),
)

# A pinned package as uv writes it: one line, and its hashes on the lines that continue it.
_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+).*(?:\n[ \t]+--hash.*)*", re.MULTILINE)

# uv's message when it is offline: a missing package then proves nothing.
_OFFLINE = "network was disabled"


class Unresolvable(PilotlightError):
    """No set of packages can be installed for the functions' Python."""


class ResolverFailed(PilotlightError):
    """uv failed; the message ends with its output."""


def resolve_pins(
    packages: Sequence[str],
    *,
    constraints: Sequence[Path] = (),
    previous: str = "",
    header: str = "",
    upgrade: bool = False,
) -> str:
    """Return a requirements file that pins `packages` and their dependencies, with hashes.

    Versions that `previous` pins are kept where possible, unless `upgrade` is set. The versions also install on the
    oldest Python that the command supports, if there are any that do. Raise Unresolvable or ResolverFailed.
    """
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as name:
        folder = Path(name)
        oldest, out = folder / "oldest.txt", folder / "requirements.txt"
        oldest.write_text(previous)
        out.write_text(previous)
        try:
            _compile(packages, OLDEST_PYTHON, constraints, oldest, upgrade=upgrade)
            _compile(packages, PYTHON_VERSION, (*constraints, oldest), out, upgrade=upgrade)
        except Unresolvable:  # no versions suit both: the functions' Python decides
            _compile(packages, PYTHON_VERSION, constraints, out, upgrade=upgrade)
        return header + out.read_text()


def pins(text: str) -> dict[str, str]:
    """Return the version of each package that a requirements text pins."""
    return {pin["name"]: pin["version"] for pin in _PIN.finditer(text)}


def pin_lines(text: str) -> dict[str, str]:
    """Return the lines that pin each package in a requirements text: the version and the hashes."""
    return {pin["name"]: pin[0] for pin in _PIN.finditer(text)}


def _compile(packages: Sequence[str], python: str, constraints: Sequence[Path], out: Path, *, upgrade: bool) -> None:
    """Have uv write `out`. Keep the versions in it where possible. Raise Unresolvable or ResolverFailed."""
    options = [*_OPTIONS, "--python-version", python, "--output-file", str(out)]
    for constraint in constraints:
        options += ["--constraint", str(constraint)]
    done = subprocess.run(
        [find_uv_bin(), "pip", "compile", "-", *options, *(["--upgrade"] if upgrade else [])],
        input="".join(f"{line}\n" for line in packages),
        text=True,
        capture_output=True,
        check=False,
        cwd=out.parent,
        env=os.environ | {"NO_COLOR": "1"},
    )
    if done.returncode == 1 and _OFFLINE not in done.stderr:
        raise Unresolvable(
            f"{', '.join(packages)} cannot be installed for the functions' Python {python} on {PLATFORM}: "
            f"{_reason(done.stderr)} Save the model again with versions that have wheels for Python {python}, and "
            "publish that"
        )
    if done.returncode:
        raise ResolverFailed(f"uv could not resolve {', '.join(packages)}:\n{done.stderr.strip()}")


def _reason(message: str) -> str:
    """Return uv's explanation without hints and line breaks."""
    text = " ".join(line.strip() for line in message.partition("\nhint:")[0].splitlines())
    return text.partition("cause: ")[2] or text
