"""A bucket in another region than the function, with AWS's own host names, each at a server of its own, over TLS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doubles import CONTENT

PROGRAM = Path(__file__).with_name("two_regions.py")


def start(folder: Path, home: str, forged: str = "") -> list[str]:
    """Return what a fetch prints for a bucket that lies in `home`."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "--net", sys.executable, str(PROGRAM)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*command, str(folder), home, forged], capture_output=True, text=True, check=False, env=environ, timeout=180
    )
    if "unshare:" in done.stderr:
        pytest.skip("this machine gives nobody a network of their own")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("home", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_a_redirect_to_another_region_is_followed_to_that_regions_own_host(home: str, tmp_path: Path) -> None:
    assert start(tmp_path, home) == ["us-east-1 us-east-1", f"{home} {home}"]
    assert (tmp_path / "model/model.onnx").read_bytes() == CONTENT


def test_a_region_whose_certificate_nobody_vouches_for_gets_no_request(tmp_path: Path) -> None:
    *said, first, second = start(tmp_path, "eu-west-1", forged="eu-west-1")
    assert "certificate verify failed" in said[0]
    assert (first, second) == ("us-east-1 us-east-1", "eu-west-1")
    assert list((tmp_path / "model").iterdir()) == []
