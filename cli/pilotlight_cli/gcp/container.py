"""The function as a container image, which Docker builds from a staged package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import load_lock
from pilotlight_cli.project import BUILD, FUNCTIONS

DOCKERFILE = FUNCTIONS / "gcp" / "container" / "Dockerfile"
PACKAGE = BUILD / "gcp"

_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# pip's options by their environment variables. What pip's own files say may be of this machine alone: a folder, a
# mirror on its loopback address.
_INDEX = {
    "index-url": ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("PIP_EXTRA_INDEX_URL",),
    "trusted-host": ("PIP_TRUSTED_HOST",),
}


class ContainerError(PilotlightError):
    """There is no image: Docker is missing or refused; the message says which."""


def image_name(package: Path = PACKAGE) -> str:
    """`pilotlight-<model>:<version>`, of the model that a staged package pins. Raises FormatError."""
    model = load_lock(package / "model.lock").model
    return f"pilotlight-{model.name}:{model.version}"


def build_image(
    image: str, *, base: str, environ: Mapping[str, str], package: Path = PACKAGE, capture: bool = False
) -> None:
    """Build the image of a staged package; `base` is what it is built on, empty for what the Dockerfile names.

    pip reaches its index as `environ` says: by the variables of pip or of uv, or by the file that PIP_CONFIG_FILE
    names, and with the certificates that they trust. Docker's own words are shown, or with `capture` only told in the
    error. Raises ContainerError.
    """
    program = builder(environ)
    told = [f"--label=org.opencontainers.image.title={image.rpartition(':')[0]}"]
    told += [f"--label=org.opencontainers.image.version={image.rpartition(':')[2]}"]
    told += [f"--build-arg=BASE={base}"] if base else []
    with _secrets(environ) as secrets:
        command = [program, "build", "--file", str(DOCKERFILE), "--tag", image, *told, *secrets, str(package)]
        done = subprocess.run(
            command,
            env=_with_buildkit(environ),
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
            check=False,
        )
    if done.returncode:
        last = "\n".join((done.stdout or "").strip().splitlines()[-25:])
        raise ContainerError(f"'docker build' ended with exit code {done.returncode}" + (f":\n{last}" if last else ""))


def builder(environ: Mapping[str, str]) -> str:
    """The first docker on the PATH that builds with BuildKit: new ones take a plugin. Raises ContainerError."""
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [program for program in (shutil.which("docker", path=folder) for folder in folders) if program]
    if not programs:
        raise ContainerError("the program docker is not on this machine")
    if _said(environ, programs[0], "version") is None:
        raise ContainerError("Docker's engine does not answer; start it")
    for program in programs:
        if "--secret" in (_said(environ, program, "build", "--help") or ""):
            return program
    raise ContainerError("this Docker does not build with BuildKit; install its plugin buildx")


def _said(environ: Mapping[str, str], *command: str) -> str | None:
    """What a command prints; None where it fails."""
    done = subprocess.run(command, env=_with_buildkit(environ), capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def _with_buildkit(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "DOCKER_BUILDKIT": "1"}


@contextmanager
def _secrets(environ: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """Docker's options that let pip reach its index, for as long as the build takes."""
    options = []
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        config = Path(environ.get("PIP_CONFIG_FILE") or Path(folder, "pip.conf"))
        if not config.exists():
            config = Path(folder, "pip.conf")
            config.touch(mode=0o600)
            config.write_text(_pip_config(environ))
        if config.is_file() and config.stat().st_size:
            options += ["--secret", f"id=pip.conf,src={config}"]
        certificates = next((environ[name] for name in _CERTIFICATES if environ.get(name)), "")
        if Path(certificates).is_file():
            options += ["--secret", f"id=certificates,src={certificates}"]
        yield options


def _pip_config(environ: Mapping[str, str]) -> str:
    lines = []
    for option, names in _INDEX.items():
        value = next((environ[name] for name in names if environ.get(name)), "")
        lines += [f"{option} = {value}"] if value else []
    return "\n".join(["[global]", *lines, ""]) if lines else ""
