"""A project from `pilotlight init --model`: its command, its make and plain SAM CLI work there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight_cli.staging.package import MAX_BYTES
from repository import SAMPLE
from templates import NESTED

BIN = Path(sys.executable).parent
FUNCTIONS = {"PredictFunction", "PreTrafficHook", "PostTrafficHook", "AuthorizerFunction"}


def run(project: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment in a folder as a user without an account on AWS."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PILOTLIGHT_"))}
    environ |= {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", **more}
    environ["PATH"] = f"{BIN}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a pinned model at its root and another in models/."""
    folder = tmp_path_factory.mktemp("projects")
    model = str(SAMPLE / "model.onnx")
    run(folder, "pilotlight", "init", "tumours", "--model", model)
    run(folder / "tumours", "pilotlight", "add", "second", "--model", model)
    return folder / "tumours"


@pytest.mark.parametrize("model", ["tumours", "second"])
def test_each_model_passes_its_checks(model: str, project: Path) -> None:
    assert f"{model}:1 passes all checks" in run(project, "pilotlight", "verify", "--model", model).stdout


def test_each_model_has_packages_of_its_own(project: Path) -> None:
    for model in ("tumours", "second"):
        run(project, "pilotlight", "build", "--model", model, "--cloud", "gcp")
    locks = [project / folder / "model.lock" for folder in ("build/gcp", "build/models/second/gcp")]
    assert locks[0].read_bytes() == (project / "model.lock").read_bytes()
    assert locks[1].read_bytes() == (project / "models/second/model.lock").read_bytes()


@pytest.mark.parametrize("template", ["template.yaml", "bootstrap.yaml", *NESTED])
def test_sam_accepts_the_templates(template: str, project: Path) -> None:
    run(project, "sam", "validate", "--lint", "--template", template)


def test_plain_sam_builds_every_function_within_lambdas_limit(project: Path) -> None:
    run(project, "sam", "build", LOCK="models/second/model.lock")
    built = project / ".aws-sam/build"
    assert {path.name for path in built.iterdir()} == FUNCTIONS | {
        "template.yaml",
        "Judge",
        "Monitoring",
        "ReleaseAlarms",
        "Streams",
    }
    for function in (*FUNCTIONS, "Streams/RecordsFunction"):
        assert sum(path.stat().st_size for path in (built / function).rglob("*") if path.is_file()) < MAX_BYTES
    pinned = (project / "models/second/model.lock").read_bytes()
    for function in ("PredictFunction", "Streams/RecordsFunction"):
        assert (built / function / "model.lock").read_bytes() == pinned
    assert (built / "Streams/RecordsPreTrafficHook/records_traffic.py").is_file()
    assert (built / "Judge/JudgeFunction/pilotlight/judging/shares.py").is_file()
