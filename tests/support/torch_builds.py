"""Whether PyTorch can be had for the processor alone: with its GPU part it is a download of 3 GB."""

from __future__ import annotations

from functools import cache

import pytest

from pilotlight_cli.hostenv import PYTHON, InstallError, run_uv


@cache
def found() -> str:
    """Return the version of PyTorch that uv would install for this machine's Python."""
    try:
        return run_uv(["pip", "compile", "--no-deps", "--no-header", "--python", PYTHON, "-"], "torch==2.13.0").strip()
    except InstallError as error:
        return str(error)


def require_cpu_build() -> None:
    """Skip a test, with a reason, where the GPU's build would be installed."""
    if "+cpu" not in found():
        pytest.skip(f"PyTorch for the processor alone is not to be had here, so nothing of it was converted: {found()}")
