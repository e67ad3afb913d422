"""What is said about a month's costs before anything is deployed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pilotlight_cli.aws import costs
from pilotlight_cli.aws.template import effective_values
from templates import START_MODES, TEMPLATE


def cost_text(given: Mapping[str, str], kept: int = 0) -> str:
    return costs.cost_text(effective_values(TEMPLATE, given), kept)


def test_on_demand_costs_nothing_while_nobody_calls() -> None:
    assert cost_text({}) == ""


def test_an_instance_that_is_kept_ready_is_paid_by_its_memory_and_the_hours_of_a_month() -> None:
    # The example on AWS's page: 1,000 instances of 1,024 MB for two hours are 7.2 million GB-seconds, $30.
    assert costs.ready(1024, "x86_64", 1000) * 2 / costs.HOURS == pytest.approx(30.0, abs=0.005)
    assert costs.ready(2048, "x86_64", 3) == pytest.approx(6 * costs.ready(1024, "x86_64", 1))


def test_arm_is_a_fifth_cheaper() -> None:
    assert costs.ready(1769, "arm64", 1) / costs.ready(1769, "x86_64", 1) == pytest.approx(0.8, abs=0.001)


def test_the_minimum_and_the_maximum_of_instances_are_both_priced() -> None:
    text = cost_text(START_MODES["provisioned"])
    assert "2 to 10 instance(s) of 1769 MB (x86_64) cost $37.83 to $189.17 a month" in text


def test_a_fixed_number_of_instances_has_one_price() -> None:
    text = cost_text({"StartMode": "provisioned", "Architecture": "arm64", "MemorySize": "1024"})
    assert "1 instance(s) of 1024 MB (arm64) cost $8.76 a month" in text


def test_every_version_with_a_snapshot_is_paid_and_so_is_every_start_from_one() -> None:
    text = cost_text({"StartMode": "snapstart"}, 4)
    assert "each version of 1769 MB costs $6.83 a month" in text
    assert "$34.15 for up to 5 version(s) ('pilotlight prune aws' deletes old ones)" in text
    assert "1,000 starts cost $0.24" in text


def test_snapshots_are_paid_for_as_long_as_their_versions_are_there() -> None:
    assert cost_text({}, 2).startswith(
        "2 old version(s) keep their snapshots, about $13.66 a month, until 'pilotlight prune"
    )
    assert "2 old version(s)" in cost_text(START_MODES["provisioned"], 2)
