"""What the starter's workflow does on Google Cloud alone; tests/unit/project/test_starter_workflows.py has the rest."""

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
    rollback = f'.venv/bin/pilotlight rollout gcp --env {environment} --rollback --model "$MODEL"'
    assert deploy["run"] == f"make deploy-gcp ENV={environment}"
    assert back == {"run": rollback, "if": "always()"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_going_back_has_time_left_when_a_deployment_takes_all_of_its_own(environment: str) -> None:
    job = JOBS[environment]
    assert job["timeout-minutes"] - job["steps"][-2]["timeout-minutes"] >= 15


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_job_signs_in_by_federation(environment: str) -> None:
    [auth] = [
        step for step in JOBS[environment]["steps"] if step.get("uses", "").startswith("google-github-actions/auth@")
    ]
    assert auth["with"].keys() == {"workload_identity_provider", "service_account"}
