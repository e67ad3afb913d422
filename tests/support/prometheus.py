"""Prometheus and Alertmanager as Debian packages them; `.ci/run` unpacks them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_prometheus = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool")),
    reason="NO PROMETHEUS HERE: its rules are not tested, and nothing is scraped (Debian's packages prometheus and "
    "prometheus-alertmanager)",
)


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return its output; fail with it."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
