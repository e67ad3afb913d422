"""Builds the container image of the sample's build/gcp, the package for Google Cloud.

Usage: python tools/container.py [BASE]

BASE replaces the base image that functions/gcp/container/Dockerfile names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import FUNCTIONS, ROOT

DOCKERFILE = FUNCTIONS / "gcp" / "container" / "Dockerfile"
PACKAGE = ROOT / "examples" / "breast-cancer" / "build" / "gcp"

_HARDENED = "--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"
_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# pip's options by their environment variables. pip's own files may hold what only this machine has: a folder, a mirror
# on its loopback address.
_INDEX = {
    "index-url": ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("PIP_EXTRA_INDEX_URL",),
    "trusted-host": ("PIP_TRUSTED_HOST",),
}


class ContainerError(PilotlightError):
    """There is no image: Docker is missing or refused; the message says which."""


def main(base: str = "") -> None:
    """Build the image and print how to run it."""
    try:
        image = image_name()
        build_image(image, base=base, environ=os.environ)
    except PilotlightError as error:
        sys.exit(f"no image: {error}")
    print(f"Built {image}. To run it with a model store in a folder:")
    print(f"  docker run {_HARDENED} \\")
    print("    --volume /path/to/store:/store:ro --env PILOTLIGHT_STORE=file:///store --publish 8080:8080 " + image)


def image_name(package: Path = PACKAGE) -> str:
    """Return `pilotlight-<model>:<version>` for the model that a staged package pins. Raises FormatError."""
    model = load_lock(package / "model.lock").model
    return f"pilotlight-{model.name}:{model.version}"


def build_image(
    image: str,
    *,
    base: str,
    environ: Mapping[str, str],
    package: Path = PACKAGE,
    dockerfile: Path = DOCKERFILE,
    target: str = "",
    capture: bool = False,
) -> None:
    """Build the image of a staged package on `base`, or on the Dockerfile's own base where `base` is empty.

    `target` is the stage of a Dockerfile that has several images.

    pip reaches its index as `environ` says: by the variables of pip or of uv, or by the file that PIP_CONFIG_FILE
    names, and with the certificates that they trust. Docker's output is shown, or with `capture` only quoted in the
    error. Raises ContainerError.
    """
    program = find_docker(environ)
    options = [f"--label=org.opencontainers.image.title={image.rpartition(':')[0]}"]
    options += [f"--label=org.opencontainers.image.version={image.rpartition(':')[2]}"]
    options += [f"--build-arg=BASE={base}"] if base else []
    options += [f"--target={target}"] if target else []
    with _secrets(environ) as secrets:
        command = [program, "build", "--file", str(dockerfile), "--tag", image, *options, *secrets, str(package)]
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


def find_docker(environ: Mapping[str, str]) -> str:
    """Return the first docker on the PATH that has BuildKit, which newer ones need a plugin for.

    Raises ContainerError.
    """
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [program for program in (shutil.which("docker", path=folder) for folder in folders) if program]
    if not programs:
        raise ContainerError("found no program docker; install Docker")
    if _output(environ, programs[0], "version") is None:
        raise ContainerError("Docker's engine does not answer; start it")
    for program in programs:
        if "--secret" in (_output(environ, program, "build", "--help") or ""):
            return program
    raise ContainerError("this Docker has no BuildKit; install its plugin buildx")


def _output(environ: Mapping[str, str], *command: str) -> str | None:
    """Return what a command prints, or None where it fails."""
    done = subprocess.run(command, env=_with_buildkit(environ), capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def _with_buildkit(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "DOCKER_BUILDKIT": "1"}


@contextmanager
def _secrets(environ: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """Yield Docker's options that let pip reach its index; their files are removed at the end."""
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


if __name__ == "__main__":
    main(*sys.argv[1:])
