"""deploy/compose under Docker's Compose: the files are ours, the images are stand-ins, since none is pulled."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from containers import python_base
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.local.process import free_port
from pilotlight_cli.staging.bytecode import interpreter
from prometheus import COMPOSE, adapted

FILE = COMPOSE / "compose.yaml"
SERVICES: Mapping[str, Any] = yaml.safe_load(FILE.read_text())["services"]
SECRET = "a-secret-of-the-store"

needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None,
    reason="NO COMPOSE HERE: deploy/compose is not run (Debian's package docker-compose)",
)


@dataclass(frozen=True)
class Composed:
    """The services under a name of their own, on free ports; `environ` has what a user's .env has."""

    project: str
    override: Path
    environ: Mapping[str, str]

    def __call__(self, *arguments: str) -> None:
        """Run a command of Compose's."""
        files = [f"--file={FILE}", f"--file={self.override}"]
        command = ["docker-compose", "--project-name", self.project, *files, *arguments]
        environ = {**os.environ, **self.environ}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def address(self, service: str) -> str:
        """Return a service's address on this machine; `grpc` is the server's other port."""
        return f"127.0.0.1:{self.environ[f'{service.upper()}_PORT']}"

    def url(self, service: str) -> str:
        """Return a service's URL on this machine."""
        return f"http://{self.address(service)}"


@contextmanager
def composed(image: str, folder: Path) -> Iterator[Composed]:
    """Give the services around this image of the server; nothing is left of them."""
    override = folder / "override.yaml"
    adapted("prometheus/prometheus.yaml", folder, {"_interval: 15s": "_interval: 1s"})
    override.write_text(yaml.safe_dump({"services": _stand_ins(folder)}))
    ports = {f"{name.upper()}_PORT": str(free_port()) for name in (*SERVICES, "grpc")}
    environ = {**ports, "SERVER_IMAGE": image, "STORE_SECRET": SECRET, "GRAFANA_PASSWORD": "none"}
    found = Composed(f"pilotlight-test-{secrets.token_hex(4)}", override, environ)
    try:
        yield found
    finally:
        found("down", "--volumes", "--timeout", "1")


def _stand_ins(folder: Path) -> dict[str, Any]:
    """Return what replaces the images: programs of this machine on the base of the server's image.

    `folder` has a configuration of Prometheus with a short interval, which comes over ours.
    """
    base, _ = python_base()
    emulator = host_packages(ROOT / "tools/emulator.txt", python=interpreter())
    ask = "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8333); c.request('GET', '/_ministack/health')"
    store = {
        "image": base,
        "entrypoint": ["python3", "-m", "ministack"],
        "command": [],
        "environment": {
            "PYTHONPATH": "/emulator",
            "GATEWAY_PORT": "8333",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        },
        "healthcheck": {"test": ["CMD", "python3", "-c", f"{ask}; c.getresponse()"], "interval": "1s"},
        "volumes": [f"{emulator}:/emulator:ro"],
    }
    return {
        "store": store,
        "prometheus": _debian(base, "prometheus", f"{folder}/prometheus.yaml:/etc/prometheus/prometheus.yaml:ro"),
        "alertmanager": _debian(base, "prometheus-alertmanager"),
    }


def _debian(base: str, program: str, *volumes: str) -> dict[str, Any]:
    own = [f"{shutil.which(program)}:/program:ro", "/usr/share/prometheus:/usr/share/prometheus:ro"]
    return {"image": base, "entrypoint": ["/program"], "volumes": [*own, *volumes]}
