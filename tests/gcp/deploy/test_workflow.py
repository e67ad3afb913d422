"""The workflow that deploys to Google Cloud."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pilotlight_cli.assets import ROOT

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / "starter/github/workflows/deploy-gcp.yml").read_text())
JOBS = WORKFLOW["jobs"]
ENVIRONMENTS = ("staging", "prod")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_job_deploys_and_then_always_takes_back_what_is_left_under_way(environment: str) -> None:
    *_, deploy, back = JOBS[environment]["steps"]
    assert deploy["run"] == f"make deploy-gcp ENV={environment} YES=1"
    assert back == {"run": f".venv/bin/pilotlight rollout gcp --env {environment} --rollback", "if": "always()"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_approval_that_comes_late_brings_back_no_older_commit(environment: str) -> None:
    before = [step["run"] for step in JOBS[environment]["steps"][:-2] if "run" in step]
    assert any("commits/main" in command for command in before) == (environment == "prod")  # who waits, may be late


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_going_back_has_time_left_when_a_deployment_takes_all_of_its_own(environment: str) -> None:
    job = JOBS[environment]
    assert job["timeout-minutes"] - job["steps"][-2]["timeout-minutes"] >= 15


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_job_signs_in_by_federation_in_its_own_environment(environment: str) -> None:
    job = JOBS[environment]
    assert job["environment"] == environment
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert job["concurrency"] == {"group": f"deploy-gcp-{environment}", "cancel-in-progress": False}
    [auth] = [step for step in job["steps"] if step.get("uses", "").startswith("google-github-actions/auth@")]
    assert auth["with"].keys() == {"workload_identity_provider", "service_account"}


def test_nothing_is_deployed_before_somebody_says_so_or_before_the_checks() -> None:
    assert JOBS["check"]["if"] == "vars.DEPLOY_TO_GOOGLE == 'true'"
    assert [JOBS[name]["needs"] for name in ENVIRONMENTS] == ["check", "staging"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
