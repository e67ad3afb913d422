"""The standard clients of the protocols that we speak, as they are, against both clouds' real runtimes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalogue.building import FEATURES
from drivers import Addresses
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return an environment with the clients, whose dependencies differ from the tests'."""
    return host_packages(ROOT / "tools" / "clients.txt")


def run(script: str, packages: Path, *arguments: str) -> None:
    """Run a script beside this one in the clients' environment; it has to end well."""
    done = subprocess.run(
        [*isolated_python(), str(Path(__file__).with_name(script)), *arguments],
        env={"PYTHONPATH": os.pathsep.join((str(packages), str(ROOT / "tests"))), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_tritonclient_gets_what_it_sends_in_bytes_and_in_json(cloud: str, addresses: Addresses, packages: Path) -> None:
    run("triton_calls.py", packages, addresses[cloud, "echo"].removeprefix("http://"))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve refuses Python 3.14: its client was not asked")
def test_kserves_client_gets_what_it_sends_and_finds_the_server_alive(
    cloud: str, addresses: Addresses, packages: Path
) -> None:
    sample = addresses[cloud, "breast-cancer"]
    run("kserve_calls.py", packages, addresses[cloud, "echo"], sample, json.dumps(FEATURES))
