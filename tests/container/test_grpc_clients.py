"""The standard clients of the protocol, as they are, over gRPC and beside HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import grpc_inference_pb2 as pb
from grpc_calls import Serving, serving_grpc
from harness import Pinned, pinned
from models import new_seed
from onnx_models import echo
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python

# Random requests; more by the environment.
REQUESTS = os.environ.get("GRPC_REQUESTS", "60")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    folder = tmp_path_factory.mktemp("echo")
    return pinned(echo(folder), "echo", folder)


@pytest.fixture(scope="module")
def server(model: Pinned) -> Iterator[Serving]:
    with serving_grpc(model) as runtime:
        yield runtime


def run(script: str, *arguments: str) -> None:
    """Run a script beside this one in the clients' environment; it has to end well."""
    packages = host_packages(ROOT / "tools" / "clients.txt")
    done = subprocess.run(
        [*isolated_python(), str(Path(__file__).with_name(script)), *arguments],
        env={"PYTHONPATH": os.pathsep.join((str(packages), str(ROOT / "tests"))), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_tritonclient_gets_the_same_numbers_over_grpc_and_over_http(server: Serving, tmp_path: Path) -> None:
    descriptor = tmp_path / "descriptor"
    descriptor.write_bytes(pb.DESCRIPTOR.serialized_pb)
    addresses = (server.address, server.runtime.url.removeprefix("http://"))
    run("grpc_client_calls.py", *addresses, REQUESTS, str(new_seed()), str(descriptor))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve refuses Python 3.14: its client was not asked")
def test_kserves_client_gets_what_it_sends(server: Serving) -> None:
    run("grpc_kserve_calls.py", server.address)
