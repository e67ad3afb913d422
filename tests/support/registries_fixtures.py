"""Servers of models and images on this machine, and Debian's registry, of artifacts and images of containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pilotlight_cli.local.process import free_port, tethered
from waiting import wait_until

# ECR calls all its users AWS.
_HASH = "$2b$05$BDHKT.cR13kFlP5xPLrWZe6a1RKcO3Jhsje18.N3QvjgJenKej4BW"  # of the password `secret`
USERS = f"ann:{_HASH}\nAWS:{_HASH}"


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a registry that lets in the users `ann` and `AWS` alone, with the password `secret`."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip(
            "docker-registry is not on this machine (Debian's package docker-registry): no artifact was pulled from a "
            "real registry"
        )
    folder = tmp_path_factory.mktemp("registry")
    (folder / "users").write_text(USERS)
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "models", "path": str(folder / "users")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # which is YAML too
    with running([program, "serve", str(folder / "config.yml")], os.environ, f"http://{address}/v2/", folder):
        yield address


@contextmanager
def running(command: list[str], environ: Mapping[str, str], ready: str, folder: Path) -> Iterator[None]:
    """Run a server until the end of a `with`, from when `ready` answers; a failure shows its log."""
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            tethered(command, os.getpid()), env=environ, cwd=folder, stdout=out, stderr=out, start_new_session=True
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(ready, timeout=5).status_code in (200, 401)
        except requests.RequestException:
            return False

    try:
        wait_until(answers, 120)
        yield
    finally:
        process.terminate()
        process.wait(60)
