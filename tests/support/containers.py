"""Containers of the function for Google Cloud: run as a careful platform would, ended and removed on the way out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pilotlight_cli.assets import ROOT
from pilotlight_cli.local.client import send
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


@contextmanager
def running(image: str, environ: Mapping[str, str], *options: str) -> Iterator[Container]:
    """Run a container of the image with this environment."""
    variables = [f"--env={name}={value}" for name, value in environ.items()]
    where = ["--env", f"PORT={PORT}", "--publish", f"127.0.0.1::{PORT}"]
    container = Container(docker("run", "--detach", *_HARDENED, *where, *variables, *options, image).strip())
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
