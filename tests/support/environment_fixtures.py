"""Fixtures that keep tests apart: the settings of this process, and the ports of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from pilotlight.settings import PREFIX


@pytest.fixture(autouse=True)
def unchanged_settings() -> Iterator[None]:
    """Refuse a setting that a test leaves behind: the functions that later tests start would read it."""
    before = _settings()
    yield
    after = _settings()
    for name in after.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    assert after == before


@pytest.fixture(scope="session", autouse=True)
def worker_ports() -> Iterator[None]:
    """Give each worker a range of ports of its own: a free port is bound only seconds after it was found."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            _share_ports(patch)
        yield


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Give a port on which nothing listens, and which nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def _share_ports(patch: pytest.MonkeyPatch) -> None:
    from pilotlight_cli.local import process

    worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    share = len(process._PORTS) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    patch.setattr(process, "_PORTS", process._PORTS[worker * share : (worker + 1) * share])
