"""Fixtures that tests of several folders share."""

from __future__ import annotations

from browser_fixtures import browser
from docker_fixtures import address, lambda_image
from environment_fixtures import settings_stay_as_they_are
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

__all__ = [
    "address",
    "aws_environ",
    "browser",
    "emulated_gcs_store",
    "fake_gcs",
    "folder_store",
    "gcs_store",
    "lambda_image",
    "opened_s3_store",
    "pytest_terminal_summary",
    "s3_server",
    "s3_store",
    "settings_stay_as_they_are",
    "ssm",
    "stack",
]
