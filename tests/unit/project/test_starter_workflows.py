"""The workflows that `pilotlight init` writes: checks, then staging, then an approval, then prod, for each model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight_cli.assets import ROOT

WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "starter/github/workflows").glob("*.yml")
}
JOBS: dict[str, dict[str, Any]] = {name: workflow["jobs"] for name, workflow in WORKFLOWS.items()}
DEPLOYMENTS = [(cloud, environment) for cloud in ("aws", "gcp") for environment in ("staging", "prod")]
VARIABLES = {"aws": "DEPLOY_TO_AWS", "gcp": "DEPLOY_TO_GOOGLE"}

# What the commands of the workflows call: each says on stdout what it was called with.
PILOTLIGHT = """#!/bin/sh
case "$*" in
"status --offline --json") test -z "$BROKEN" && echo '{"models": [{"name": "tumours"}, {"name": "second"}]}' ;;
"verify --model tumours") echo "verified tumours" ;;
"summary --base origin/main --compare") printf 'tumours:1 -> tumours:2\\n\\nEOF\\n' ;;
*) exit 3 ;;
esac
"""

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not on this machine")


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def run(command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does, in a folder whose .venv has the stand-in."""
    program = folder / ".venv/bin/pilotlight"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PILOTLIGHT)
    program.chmod(0o755)
    files = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "page.md")}
    done = ["bash", "-e", "-c", command]
    return subprocess.run(
        done, cwd=folder, env=os.environ | files | environ, capture_output=True, text=True, check=False
    )


@needs_jq
def test_a_check_runs_the_projects_tests_and_says_which_models_there_are(tmp_path: Path) -> None:
    test, models, _ = commands(JOBS["check"]["run"])
    assert test == "make test"
    assert run(models, tmp_path).returncode == 0
    assert (tmp_path / "output").read_text() == 'models=["tumours","second"]\n'
    assert run(models, tmp_path, BROKEN="1").returncode != 0


@needs_jq
def test_a_check_verifies_each_model_and_fails_with_the_first_that_fails(tmp_path: Path) -> None:
    verify = commands(JOBS["check"]["run"])[-1]
    good = run(verify, tmp_path, MODELS=json.dumps(["tumours"]))
    assert (good.returncode, good.stdout) == (0, "verified tumours\n")
    assert run(verify, tmp_path, MODELS=json.dumps(["second", "tumours"])).returncode != 0


def test_a_summary_is_on_the_page_of_the_run_and_goes_to_the_job_that_comments(tmp_path: Path) -> None:
    summary = commands(JOBS["summary"]["read"])[-1]
    assert run(summary, tmp_path, GITHUB_BASE_REF="main").returncode == 0
    text = "tumours:1 -> tumours:2\n\nEOF\n"
    assert (tmp_path / "page.md").read_text() == text
    first, *said, last = (tmp_path / "output").read_text().splitlines(keepends=True)
    assert (first, "".join(said)) == (f"summary<<{last}", text)


def test_the_job_that_may_write_a_comment_runs_nothing_of_the_pull_request() -> None:
    comment = JOBS["summary"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert [list(step) for step in comment["steps"]] == [["run", "env"]]
    assert "${{" not in comment["steps"][0]["run"]
    assert "head.repo.full_name == github.repository" in comment["if"]
    assert "permissions" not in JOBS["summary"]["read"]


@pytest.mark.parametrize(("cloud", "environment"), DEPLOYMENTS)
def test_a_model_is_deployed_in_an_environment_by_one_command(cloud: str, environment: str) -> None:
    job = JOBS[f"deploy-{cloud}"][environment]
    assert f"make deploy-{cloud} ENV={environment}" in commands(job)
    assert job["environment"] == environment
    assert job["env"] == {"MODEL": "${{ matrix.model }}"}
    assert job["strategy"]["matrix"] == {"model": "${{ fromJSON(needs.check.outputs.models) }}"}
    group = f"deploy-{cloud}-{environment}-${{{{ matrix.model }}}}"
    assert job["concurrency"] == {"group": group, "cancel-in-progress": False}
    assert job["permissions"] == {"contents": "read", "id-token": "write"}


@pytest.mark.parametrize(("cloud", "environment"), DEPLOYMENTS)
def test_a_late_approval_deploys_no_older_commit(cloud: str, environment: str) -> None:
    before = "".join(commands(JOBS[f"deploy-{cloud}"][environment])).partition("make deploy")[0]
    assert ("commits/main" in before) == (environment == "prod")  # only prod waits for an approval


@pytest.mark.parametrize("cloud", VARIABLES)
def test_prod_comes_after_staging_and_staging_after_the_checks_if_the_project_deploys(cloud: str) -> None:
    jobs = JOBS[f"deploy-{cloud}"]
    assert jobs["check"] == {"uses": "./.github/workflows/check.yml"}
    assert (jobs["staging"]["needs"], jobs["prod"]["needs"]) == ("check", ["check", "staging"])
    assert jobs["staging"]["if"] == f"vars.{VARIABLES[cloud]} == 'true'"
    assert "if" not in jobs["prod"]  # which a skipped staging skips too


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_a_deployment_to_aws_is_checked_through_its_gateway(environment: str) -> None:
    assert commands(JOBS["deploy-aws"][environment])[-1] == f'deploy/aws/smoke.sh {environment} "$MODEL"'


def test_only_the_jobs_that_deploy_have_an_identity_and_none_has_a_secret() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        identified = {job for job, content in workflow["jobs"].items() if "id-token" in content.get("permissions", {})}
        assert identified == ({"staging", "prod"} if name.startswith("deploy-") else set())
        assert "secrets." not in json.dumps(workflow, default=str)
