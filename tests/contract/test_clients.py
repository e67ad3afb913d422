"""The standard clients of the protocols that we speak, as they are, against both clouds' real runtimes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from drivers import Addresses
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.project import PROJECT


@pytest.fixture(scope="session")
def packages() -> Path:
    """The clients, in an environment of their own: they bring what the tests have in other versions."""
    return host_packages(PROJECT / "tools" / "clients.txt")


def test_tritonclient_gets_what_it_sends_in_bytes_and_in_json(cloud: str, addresses: Addresses, packages: Path) -> None:
    script = Path(__file__).with_name("triton_calls.py")
    address = addresses[cloud, "echo"].removeprefix("http://")
    done = subprocess.run(
        [*isolated_python(), str(script), address],
        env={"PYTHONPATH": str(packages), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
