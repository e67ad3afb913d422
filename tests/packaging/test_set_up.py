"""The set-up that `make` does in a clone before its first command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT


def set_up(folder: Path) -> subprocess.CompletedProcess[str]:
    own = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # of what runs the tests
    environ = {name: value for name, value in os.environ.items() if name not in own}
    return subprocess.run(
        ["make", ".venv/.run"], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.slow
def test_the_set_up_prints_its_own_two_lines_and_errors(tmp_path: Path) -> None:
    listed = ["git", "ls-files", "--", ".", ":!tests", ":!docs", ":!examples", ":!bench"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = set_up(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Setting up: a virtual environment in .venv with uv in it",
        "Setting up: the command pilotlight and the local runtimes",
    ]
    uv = ("+ ", "Installed", "Prepared", "Resolved", "Building", "Built", "Audited", "Using")
    assert [line for line in done.stderr.splitlines() if line.lstrip().startswith(uv)] == []

    (tmp_path / "uv.lock").write_text("no lock")
    failed = set_up(tmp_path)
    assert failed.returncode != 0
    assert "uv.lock" in failed.stderr
