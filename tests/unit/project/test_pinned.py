"""Versions that the product names are those of uv.lock."""

from __future__ import annotations

import subprocess
import tomllib

import pytest
from uv import find_uv_bin

from pilotlight_cli.assets import ROOT
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import LZ4_PACKAGES, Recognised

PINNED = ROOT / "cli" / "pilotlight_cli" / "pinned"


@pytest.mark.parametrize("group", ["lambda-runtime", "sam-cli"])
def test_the_packages_of_the_runtimes_are_those_of_the_lock(group: str) -> None:
    command = [find_uv_bin(), "export", "--quiet", "--frozen", "--only-group", group]
    command += ["--no-emit-project", "--no-header", "--no-annotate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (PINNED / f"{group}.txt").read_text() == done.stdout, "run 'make lock'"


def test_the_libraries_that_publish_installs_are_those_of_the_lock() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {f"{package['name']}=={package['version']}" for package in packages if "version" in package}
    assert {*KINDS["onnx"].requirements("model.onnx", Recognised("onnx", repairs=True)), *LZ4_PACKAGES} <= locked
