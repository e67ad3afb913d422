"""Fixtures that tests of several folders share."""

from __future__ import annotations

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
    "aws_environ",
    "emulated_gcs_store",
    "fake_gcs",
    "folder_store",
    "gcs_store",
    "opened_s3_store",
    "s3_server",
    "s3_store",
]
