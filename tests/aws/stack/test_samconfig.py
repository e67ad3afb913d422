"""The three environments, as SAM CLI and `make deploy-aws` read them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from samcli.cli.types import CfnParameterOverridesType

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.environments import read_environment
from templates import refused, stack

FILE = ROOT / "samconfig.toml"
CONFIG = tomllib.loads(FILE.read_text())
ENVIRONMENTS = ["dev", "staging", "prod"]


def settings(environment: str) -> dict[str, Any]:
    found: dict[str, Any] = CONFIG[environment]["deploy"]["parameters"]
    return found


def overrides(environment: str) -> dict[str, str]:
    return dict(read_environment(environment, FILE).parameters)


def test_without_an_environment_it_is_dev() -> None:
    assert CONFIG["version"] == 0.1
    assert CONFIG["default"] == CONFIG["dev"]
    assert list(CONFIG) == ["version", "default", *ENVIRONMENTS]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_is_a_stack_that_the_template_takes(environment: str) -> None:
    assert CONFIG[environment]["global"]["parameters"]["stack_name"] == f"pilotlight-{environment}"
    assert refused(**overrides(environment)) == []
    assert stack(**overrides(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sam_reads_the_parameters_as_we_do(environment: str) -> None:
    # SAM CLI joins a list from the file to what one would write on a command line.
    read = CfnParameterOverridesType().convert(tuple(settings(environment)["parameter_overrides"]), None, None)
    assert read == overrides(environment)


@pytest.mark.parametrize("environment", ["default", *ENVIRONMENTS])
def test_sam_alone_is_told_to_forget_the_digest_of_the_last_release(environment: str) -> None:
    # A parameter that SAM is not told keeps its value: by the last digest no new version would be published.
    assert read_environment(environment, FILE).parameters["ReleaseDigest"] == ""


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_is_asked_and_an_unchanged_stack_is_no_failure(environment: str) -> None:
    found = settings(environment)
    assert (found["confirm_changeset"], found["fail_on_empty_changeset"]) == (False, False)
    # No role has a name of its own, so that the lesser capability is enough.
    assert (found["capabilities"], found["resolve_s3"]) == (["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"], True)
    assert not any("RoleName" in entry.get("Properties", {}) for entry in stack(**overrides(environment)).values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_build_is_never_taken_from_a_cache(environment: str) -> None:
    assert CONFIG[environment]["build"]["parameters"] == {"cached": False, "parallel": False}


def test_dev_runs_on_demand_and_prod_provisioned_in_steps_longer_than_an_alarm_needs() -> None:
    assert overrides("dev")["StartMode"] == "on-demand"
    assert overrides("staging")["StartMode"] == "on-demand"
    prod = overrides("prod")
    assert (prod["StartMode"], prod["DeploymentType"]) == ("provisioned", "Linear10PercentEvery10Minutes")
    assert int(prod["MinProvisioned"]) <= int(prod["MaxProvisioned"])


def test_sam_waits_for_prods_whole_deployment() -> None:
    assert settings("prod")["max_wait_duration"] >= 2 * 60
