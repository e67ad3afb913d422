"""Containers of the function for Google Cloud: run as a careful platform would, ended and removed on the way out."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from container import DOCKERFILE, ContainerError, build_image, find_docker
from pilotlight_cli.assets import FUNCTIONS, ROOT
from pilotlight_cli.aws.sam_local import host_address
from pilotlight_cli.local.client import send
from pilotlight_cli.local.stores import EmbeddedStore, acting_in, gcs_store
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store
from repository import LOCK
from waiting import wait_until

PORT = 9000  # not the image's own

# Nothing that the function does not need: no capability, no way to get one, and only /tmp can be written.
_HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@dataclass(frozen=True)
class Container:
    """A container that was started; it may have ended."""

    id: str

    @property
    def state(self) -> dict[str, Any]:
        """The state, as Docker describes it."""
        found: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return found

    @property
    def url(self) -> str:
        """The URL on this machine."""
        return f"http://{docker('port', self.id, str(PORT)).splitlines()[0]}"

    @property
    def own_address(self) -> str:
        """Its address in Docker's network: nothing but the function itself can listen there."""
        return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.id).strip()

    @property
    def log(self) -> str:
        """The output of the container."""
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def ask(self, code: str) -> Any:
        """Run Python code in the container and return the JSON that it prints."""
        return json.loads(docker("exec", self.id, "python", "-c", code))

    def wait_until_ready(self) -> None:
        """Return once the model is loaded. Fail if the container ends before that."""
        wait_until(lambda: send(self.url, "/health/ready").status == 200 or not self.state["Running"], limit=180)
        assert self.state["Running"], self.log

    def stop(self, seconds: int) -> int:
        """Stop it as platforms do, with SIGKILL after so many seconds (which gives 137), and return the exit code."""
        docker("stop", "--time", str(seconds), self.id)
        return int(self.state["ExitCode"])


@dataclass(frozen=True)
class Built:
    """An image, the package that it was built from, and where its containers reach this machine."""

    image: str
    package: Path
    address: str


@contextmanager
def sample_image(folder: Path, target: str = "", function: str = "") -> Iterator[Built]:
    """Build an image of the sample, with a hidden file in its package; skip the test where that is not possible.

    `target` is one of functions/container/Dockerfile; without it, the image is that of the function on Google Cloud.
    `function` is what is packaged for it, if not the function of that name.
    """
    base, missing = python_base()
    if missing:
        pytest.skip(missing)
    try:
        find_docker(os.environ)
    except ContainerError as error:
        pytest.skip(str(error))
    package = folder / "package"
    function = function or ("predict" if target in ("", "server") else target)
    build("container" if target else "gcp", LOCK, package, lambda _: None, function=function)
    (package / ".env").write_text("SECRET=1")
    image = f"pilotlight-test-{secrets.token_hex(4)}:1"
    build_image(
        image,
        base=base,
        environ=os.environ,
        package=package,
        dockerfile=FUNCTIONS / "container" / "Dockerfile" if target else DOCKERFILE,
        target=target,
        capture=True,
    )
    yield Built(image, package, host_address(image, "python"))
    docker("image", "rm", image)


@contextmanager
def sample_store(address: str) -> Iterator[EmbeddedStore]:
    """Run a store on this machine that containers reach; it has the sample model."""
    with gcs_store(address) as found:
        with acting_in(found.environ):
            ensure_published(LOCK, open_store(found.url))
        yield found


@contextmanager
def running(
    image: str, environ: Mapping[str, str], *options: str, arguments: Sequence[str] = ()
) -> Iterator[Container]:
    """Run a container of the image with this environment, and arguments for what it runs."""
    variables = [f"--env={name}={value}" for name, value in environ.items()]
    where = ["--env", f"PORT={PORT}", "--publish", f"127.0.0.1::{PORT}"]
    command = ("run", "--detach", *_HARDENED, *where, *variables, *options, image, *arguments)
    container = Container(docker(*command).strip())
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.id)


def python_base() -> tuple[str, str]:
    """Return the base image, or why there is none: Docker's own where it is here, else a stand-in. Never pull one."""
    if shutil.which("docker") is None:
        return "", "Docker is not on this machine"
    own = "python:3.13-slim-bookworm"
    if subprocess.run(["docker", "image", "inspect", own], capture_output=True, check=False).returncode == 0:
        return own, ""
    command = [sys.executable, str(ROOT / "tools/python_image.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr.strip()


def docker(*arguments: str) -> str:
    """Run a Docker command and return its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
    return done.stdout
