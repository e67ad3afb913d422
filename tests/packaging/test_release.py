"""What the release workflow builds and checks, in a copy of the working copy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight import __version__
from pilotlight_cli.assets import ROOT

ENVIRON = os.environ | {"UV_PYTHON": sys.executable}
WHEEL = f"dist/pilotlight-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the working copy without what git does not keep, with uv and a built release."""
    folder = tmp_path_factory.mktemp("release") / "project"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for file in (ROOT / name for name in names):
        if file.is_file():
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            target.chmod(file.stat().st_mode)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    build(folder)
    return folder


def build(folder: Path) -> dict[str, bytes]:
    """Run `make dist`, and return the files in dist/."""
    command = ["make", "--old-file=.venv/bin/uv", "dist"]
    subprocess.run(command, cwd=folder, env=ENVIRON, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}


def check(folder: Path, tag: str) -> tuple[int, str]:
    command = [str(folder / "tools/check_release.sh"), tag]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_wheel_runs_with_nothing_beside_it(copy: Path) -> None:
    assert check(copy, f"v{__version__}") == (0, f"{WHEEL} installs and runs\n")


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v0.0.1", f"found {WHEEL}, expected dist/pilotlight-0.0.1-py3-none-any.whl"),
        (__version__, "expected v followed by a version"),
    ],
)
def test_a_tag_that_is_not_the_version_is_refused(copy: Path, tag: str, message: str) -> None:
    code, output = check(copy, tag)
    assert code == 1
    assert f"error: tag {tag}: {message}" in output


def test_the_files_that_were_checked_can_be_built_again(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in (copy / "dist").iterdir()}
    assert Path(WHEEL).name in before
    (copy / "README.md").touch()
    assert build(copy) == before
