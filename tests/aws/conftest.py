"""Fixtures: moto's S3 and Parameter Store, and Lambda's image in Docker."""

from __future__ import annotations

from docker_fixtures import address, lambda_image
from parameters_fixtures import ssm, stack
from registries_fixtures import oci_registry
from stores_fixtures import aws_environ, opened_s3_store, patient_fetch, s3_server, s3_store

__all__ = [
    "address",
    "aws_environ",
    "lambda_image",
    "oci_registry",
    "opened_s3_store",
    "patient_fetch",
    "s3_server",
    "s3_store",
    "ssm",
    "stack",
]
