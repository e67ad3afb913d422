"""What is said about a month's costs before anything is deployed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gcp.deploy.conftest import SETTINGS
from pilotlight_cli.gcp import costs
from pilotlight_cli.gcp.settings import GcpSettings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> GcpSettings:
    (tmp_path / "gcp.toml").write_text(SETTINGS)
    return read_settings(tmp_path / "gcp.toml", "test")


def test_without_instances_that_are_kept_nothing_is_paid_while_nobody_calls(settings: GcpSettings) -> None:
    assert costs.cost_text(replace(settings, min_instances=0)) == ""


def test_an_instance_that_is_kept_is_paid_by_its_processors_its_memory_and_the_hours_of_a_month() -> None:
    month = 730 * 3600
    assert costs.idle(1, "1Gi", 1) == pytest.approx(month * 0.000005)
    assert costs.idle(2, "512Mi", 3) == pytest.approx(3 * month * 0.0000025 * 2.5)


@pytest.mark.parametrize(("memory", "gib"), [("1024Mi", 1), ("2Gi", 2), ("1000M", 0.93132), ("1G", 0.93132)])
def test_memory_is_paid_in_gib_however_it_is_written(memory: str, gib: float) -> None:
    assert costs.idle(0, memory, 1) == pytest.approx(costs.idle(0, "1Gi", 1) * gib, rel=1e-5)


def test_the_sentence_says_how_many_of_what_for_how_much(settings: GcpSettings) -> None:
    text = costs.cost_text(replace(settings, min_instances=2, memory="1Gi"))
    assert text.startswith("2 minimum instance(s) with 1Gi and 1 vCPU cost $26.28 a month")
