"""Fixtures: Parameter Store in moto's server, and a stack's name that no other test uses."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakes.s3_server import S3Server

_STACKS = (f"stack-{number}" for number in itertools.count(1))


@pytest.fixture
def ssm(aws_environ: None, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a client of moto's Parameter Store: the server answers for all of AWS's services."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", s3_server.url)
    return boto3.client("ssm")


@pytest.fixture
def stack() -> str:
    return next(_STACKS)
