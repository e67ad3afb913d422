"""Clients of AWS's services, and the one place that translates boto3's errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection

from pilotlight.errors import PilotlightError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_ssm import SSMClient

_SIGN_IN = "sign in with 'aws sso login', or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_INVALID = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")
_NO_CREDENTIALS = (
    *(CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, ProfileNotFound),
    *(SSOError, TokenRetrievalError),
)

# As for a model store: three attempts, so that an endpoint that does not respond is reported within seconds.
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})


class AwsError(PilotlightError):
    """AWS refused a call or did not respond; the message names the call."""


class NoCredentials(AwsError):
    """There are no AWS credentials, or AWS does not accept them."""


class NoAccess(AwsError):
    """The credentials do not allow a call."""


class NoRegion(AwsError):
    """No region is configured."""


@overload
def client(service: Literal["cloudformation"], region: str = "") -> CloudFormationClient: ...
@overload
def client(service: Literal["lambda"], region: str = "") -> LambdaClient: ...
@overload
def client(service: Literal["ssm"], region: str = "") -> SSMClient: ...
@overload
def client(service: Literal["cloudwatch", "codedeploy", "logs", "sqs"], region: str = "") -> Any: ...  # noqa: ANN401 - boto3 makes the type
def client(
    service: Literal["cloudformation", "cloudwatch", "codedeploy", "lambda", "logs", "sqs", "ssm"], region: str = ""
) -> CloudFormationClient | LambdaClient | SSMClient | Any:
    """Return a client of a service, configured by AWS's own variables and configuration files. Raise AwsError.

    `region` replaces the region that these configure.
    """
    with calling(f"AWS {service}"):
        try:
            return boto3.Session().client(service, region_name=region or None, config=_CONFIG)
        except ValueError as error:
            raise AwsError(f"{error}; see AWS_ENDPOINT_URL and the profile in use") from error


def signed(method: str, url: str, body: bytes, service: str, region: str) -> Mapping[str, str]:
    """Return the headers of a JSON request with AWS Signature Version 4, by whatever boto3 finds. Raise AwsError."""
    request = AWSRequest(method, url, {"content-type": "application/json"}, body)
    with calling(f"signing a request to {url}"):
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())


@contextmanager
def calling(what: str, permission: str = "") -> Iterator[None]:
    """Turn boto3's errors into AwsError. `permission` is the IAM action that the calls inside need."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _INVALID:
            raise NoCredentials(f"{what}: invalid AWS credentials ({error}); {_SIGN_IN}") from error
        if code not in _REFUSED:
            raise AwsError(f"{what}: {error}") from error
        lacking = f"; these credentials lack {permission}" if permission else ""
        raise NoAccess(f"{what} was refused{lacking} ({error})") from error
    except _NO_CREDENTIALS as error:
        raise NoCredentials(f"{what}: no AWS credentials ({error}); {_SIGN_IN}") from error
    except NoRegionError as error:
        raise NoRegion(
            f"{what}: no region is configured; set AWS_DEFAULT_REGION, or a region in the profile"
        ) from error
    except (NoConnection, HTTPClientError) as error:
        raise AwsError(f"{what}: no response ({error})") from error
    except BotoCoreError as error:
        raise AwsError(f"{what}: {error}") from error
