"""Fixtures of tests that need Docker. The tests are skipped, with the reason, where they cannot run."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def why_not(image: str) -> str:
    """Return what is missing to run a function in that image, or an empty text. Never pull an image."""
    if shutil.which("docker") is None:
        return "Docker is not on this machine"
    if _fails("docker", "version"):
        return "Docker's engine does not answer"
    if _fails("docker", "image", "inspect", image):
        return f"Docker has no image {image} ('python tools/lambda_image.py' builds a stand-in for it)"
    return ""


@pytest.fixture(scope="session")
def lambda_image() -> str:
    """Give the image of Lambda's Python: AWS's own, or the stand-in."""
    from pilotlight_cli.aws.sam_local import IMAGE

    missing = why_not(IMAGE)
    if missing:
        pytest.skip(missing)
    return IMAGE


@pytest.fixture(scope="session")
def address(lambda_image: str) -> str:
    """Give the address at which containers reach this machine."""
    from pilotlight_cli.aws.sam_local import host_address

    return host_address()


def _fails(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0
