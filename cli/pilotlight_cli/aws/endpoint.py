"""The API of a stack, and how its callers show who they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pilotlight_cli.aws import AwsUsageError
from pilotlight_cli.aws.calls import AwsError, client, signed
from pilotlight_cli.aws.stacks import read_stack
from pilotlight_cli.calling import Credentials, Endpoint

if TYPE_CHECKING:
    from pilotlight_cli.aws.environments import Environment

KEY_VARIABLE = "API_KEY"
TOKEN_VARIABLE = "TOKEN"  # noqa: S105 - the variable's name

_SERVICE = "execute-api"

# AWS CLI finds credentials wherever boto3 does: in profiles, behind SSO, in roles. The parentheses around keep them
# from the shell that runs the command.
_SETUP = 'eval "$(aws configure export-credentials --format env)" &&'
_CURL = (
    '--aws-sigv4 aws:amz:{region}:execute-api --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
    '-H "x-amz-security-token: $AWS_SESSION_TOKEN"'
)
_PYTHON = """
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

signed = AWSRequest("POST", url, {{"content-type": "application/json"}}, body)
SigV4Auth(boto3.Session().get_credentials(), "execute-api", {region!r}).add_auth(signed)
headers = dict(signed.headers.items())
"""
_PYTHON_HEADER = """
import os

headers = {{"content-type": "application/json", {name!r}: {prefix!r} + os.environ[{variable!r}]}}
"""


def endpoint(target: Environment, environ: Mapping[str, str], *, sends: bool) -> Endpoint:
    """Return the API of an environment's stack. Raise AwsError, or AwsUsageError if the key or token is missing.

    `environ` has the key or the token of APIs that want one; only what `sends` needs it.
    """
    cloudformation = client("cloudformation", target.region)
    stack = read_stack(cloudformation, target.stack)
    if stack is None or "ApiUrl" not in stack.outputs:
        raise AwsError(
            f"the stack {target.stack} is not deployed; 'pilotlight deploy aws --env {target.name}' deploys it"
        )
    match stack.parameters.get("Authorization", "iam"):
        case "iam":
            credentials = _signature(cloudformation.meta.region_name)
        case "jwt":
            credentials = _header("authorization", "Bearer ", TOKEN_VARIABLE, environ, sends=sends)
        case "api-key":
            credentials = _header("x-api-key", "", KEY_VARIABLE, environ, sends=sends)
        case _:
            credentials = Credentials()
    return Endpoint(stack.outputs["ApiUrl"].rstrip("/"), credentials)


def _signature(region: str) -> Credentials:
    return Credentials(
        lambda url, body: signed("POST", url, body, _SERVICE, region),
        _CURL.format(region=region),
        _SETUP,
        _PYTHON.format(region=region),
        {403: "these credentials need execute-api:Invoke on the API"},
    )


def _header(name: str, prefix: str, variable: str, environ: Mapping[str, str], *, sends: bool) -> Credentials:
    value = environ.get(variable, "")
    if sends and not value:
        raise AwsUsageError(f"callers of this stack send the header {name}; set {variable} in the environment")
    return Credentials(
        lambda _url, _body: {name: prefix + value},
        f'-H "{name}: {prefix}${variable}"',
        python=_PYTHON_HEADER.format(name=name, prefix=prefix, variable=variable),
        hints=dict.fromkeys((401, 403), f"{variable} is not accepted"),
    )
