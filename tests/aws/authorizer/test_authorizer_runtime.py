"""The authorizer in AWS's own Lambda runtime, with Parameter Store in moto's server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.s3_server import S3Server
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.aws import keys
from pilotlight_cli.hostenv import group_packages
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime, lambda_runtime

NOW = datetime(2026, 7, 31, 12, tzinfo=UTC)
FOLDER = FUNCTIONS / "aws/authorizer"


@pytest.fixture
def runtime(ssm: Any, stack: str) -> Iterator[LambdaRuntime]:
    environ = passed_on(os.environ) | {"API_KEYS_PATH": keys.path(stack)}
    function = Function(FOLDER, (group_packages("lambda-runtime"),), environ)
    with lambda_runtime(function, "authorizer.lambda_handler", timeout=60) as found:
        yield found


def event(key: str) -> dict[str, Any]:
    """Return what an HTTP API sends its authorizer, in part."""
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/$default/$default",
        "identitySource": [key],
        "routeKey": "$default",
        "rawPath": "/predict",
        "headers": {"content-type": "application/json", "x-api-key": key},
        "requestContext": {"http": {"method": "POST", "path": "/predict"}, "requestId": "r-1", "stage": "$default"},
    }


def answer(runtime: LambdaRuntime, key: str) -> Any:
    """Return the authorizer's answer. It gives a look-up four seconds, which a machine that stalls may take from it."""
    for _ in range(10):
        with suppress(FunctionFailed):
            return runtime.invoke(event(key))
    return runtime.invoke(event(key))


def test_good_and_bad_keys_in_lambdas_runtime(runtime: LambdaRuntime, ssm: Any, stack: str) -> None:
    made, key = keys.create(ssm, stack, label="a team", expires=None, now=NOW)

    assert answer(runtime, key) == {"isAuthorized": True, "context": {"key_id": made.id}}
    assert answer(runtime, f"{made.id}.{'t' * 43}") == {"isAuthorized": False}
    assert answer(runtime, "malformed") == {"isAuthorized": False}
    assert runtime.log.wait_for("refused", 60, after=1) is not None
    assert runtime.log.events("refused")[0] == {
        "level": "WARNING",
        "event": "refused",
        "request_id": "r-1",
        "key_id": made.id,
        "reason": "wrong secret",
    }


def test_a_store_that_refuses_fails_the_invocation(runtime: LambdaRuntime, s3_server: S3Server) -> None:
    runtime.invoke(event("malformed"))
    s3_server.fail("400 Bad Request", "AccessDeniedException", times=2, of="POST /")  # it may be asked again

    with pytest.raises(FunctionFailed, match="KeysUnavailable"):
        runtime.invoke(event(f"{'ab' * 8}.{'t' * 43}"))
    s3_server.forgive()
