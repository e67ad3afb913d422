"""Fixtures: AWS's services as moto's server has them."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from fakes.s3_server import S3Server

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

_NAMES = (f"function-{number}" for number in itertools.count(1))


@pytest.fixture
def aws(aws_environ: None, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Give a function that makes clients of moto's services, as the command does."""
    from pilotlight_cli.aws.calls import client

    for service in ("CLOUDFORMATION", "IAM", "LAMBDA", "SNS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", s3_server.url)
    return cast("Callable[[str], Any]", client)


@pytest.fixture
def name() -> str:
    """Give a name that no other test uses: moto keeps what it has for the process."""
    return next(_NAMES)


def package(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("handler.py", text)
    return content.getvalue()


@pytest.fixture
def functions(aws: Callable[[str], Any]) -> Any:
    return aws("lambda")


@pytest.fixture
def function(aws: Callable[[str], Any], functions: Any, name: str) -> str:
    """Give a function with the versions 1 to 7."""
    role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    functions.create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.13",
        Handler="handler.lambda_handler",
        Code={"ZipFile": package("0")},
    )
    for number in range(1, 8):
        functions.update_function_code(FunctionName=name, ZipFile=package(str(number)))
        functions.publish_version(FunctionName=name)
    return name
