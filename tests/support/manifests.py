"""The manifests of the sample, as kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight_cli.assets import ROOT

MANIFESTS = ROOT / "examples" / "kubernetes"

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="NO KUBECTL HERE: no kustomization is built and checked"
)


def kustomize(folder: Path) -> list[dict[str, Any]]:
    """Return the documents that `kubectl apply --kustomize` would apply."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def by_kind(folder: str) -> dict[str, dict[str, Any]]:
    """Return the documents of one of the sample's folders, which has one of each kind."""
    return {each["kind"]: each for each in kustomize(MANIFESTS / folder)}
