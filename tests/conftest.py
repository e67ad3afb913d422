"""Fixtures that tests of several folders share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from browser_fixtures import browser
from docker_fixtures import address, lambda_image
from environment_fixtures import closed_port, ports_of_its_own, settings_stay_as_they_are
from parameters_fixtures import ssm, stack
from reporting import pytest_terminal_summary
from stores_fixtures import (
    aws_environ,
    emulated_gcs_store,
    fake_gcs,
    folder_store,
    gcs_store,
    opened_s3_store,
    s3_server,
    s3_store,
)

# What an example takes says nothing of the product on a machine that stalls.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

__all__ = [
    "address",
    "aws_environ",
    "browser",
    "closed_port",
    "emulated_gcs_store",
    "fake_gcs",
    "folder_store",
    "gcs_store",
    "lambda_image",
    "opened_s3_store",
    "ports_of_its_own",
    "pytest_terminal_summary",
    "s3_server",
    "s3_store",
    "settings_stay_as_they_are",
    "ssm",
    "stack",
]
