"""Plain `sam build`, from a clone in which nothing was set up yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import sample
from pilotlight_cli.assets import ROOT
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.staging.bytecode import interpreter
from pilotlight_cli.staging.package import MAX_BYTES

# What a make around `sam` would leave in its environment, and a virtual environment of a `sam` of one's own.
AROUND = {"MAKEFLAGS": "w -j4 -- CLOUD=gcp ENV=x", "MAKELEVEL": "2", "VIRTUAL_ENV": "/nowhere"}

SERVE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import handler
class Context:
    aws_request_id = "1"
    def get_remaining_time_in_millis(self): return 30000
event = json.load(open(sys.argv[2]))
end = time.monotonic() + 30
while (reply := handler.lambda_handler(event, Context()))["statusCode"] == 503 and time.monotonic() < end:
    time.sleep(0.1)
print(reply["statusCode"])
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the working copy without what git does not keep, in which `sam build` was run."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", **AROUND}
    command = [str(Path(sys.executable).with_name("sam")), "build"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stderr)
    return folder


def test_every_function_is_built_and_nothing_else(clone: Path) -> None:
    built = {path.name for path in (clone / ".aws-sam/build").iterdir()}
    assert built == {
        "template.yaml",
        "Judge",
        "Monitoring",
        "ReleaseAlarms",
        "Streams",
        "PredictFunction",
        "PreTrafficHook",
        "PostTrafficHook",
        "AuthorizerFunction",
    }
    assert not list((clone / ".aws-sam").rglob("Makefile"))


def test_the_size_of_the_package_is_told_and_below_lambdas_limit(clone: Path) -> None:
    package = clone / ".aws-sam/build/PredictFunction"
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert size < MAX_BYTES
    assert f"{size / 1e6:.1f} MB" in (clone / "said.txt").read_text()


def test_a_build_without_the_functions_python_would_say_so(clone: Path) -> None:
    # SAM shows a build's stdout alone; what is told on stderr must come through all the same.
    said = (clone / "said.txt").read_text()
    assert f"compiling for Python {PYTHON_VERSION}" in said or f"no Python {PYTHON_VERSION} here" in said


def test_the_package_serves_with_nothing_beside_it(clone: Path, tmp_path: Path) -> None:
    program = interpreter()
    if not program:
        pytest.skip(f"there is no Python {PYTHON_VERSION} on this machine")
    environ = {"PILOTLIGHT_STORE": sample(tmp_path / "store").store.url, "TMPDIR": str(tmp_path)}
    package = clone / ".aws-sam/build/PredictFunction"
    event = ROOT / "events/http-api-v2-predict.json"
    command = [program, "-I", "-S", "-B", "-W", "error", "-c", SERVE, str(package), str(event)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "200"
