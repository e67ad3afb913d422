"""The versions and aliases of a function on Lambda."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pilotlight_cli.aws.calls import calling

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_LATEST = "$LATEST"


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias, the version it points to, and the weights of others that get a share of its traffic."""

    name: str
    version: str
    weights: Mapping[str, float]


def published(functions: LambdaClient, function: str) -> list[int]:
    """Return the numbers of the versions, newest first. Raise AwsError."""
    with calling(f"the versions of {function}", "lambda:ListVersionsByFunction"):
        pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=function)
        numbers = [entry["Version"] for page in pages for entry in page["Versions"]]
    return sorted((int(version) for version in numbers if version != _LATEST), reverse=True)


def aliases(functions: LambdaClient, function: str) -> list[Alias]:
    """Return the aliases of a function. Raise AwsError."""
    with calling(f"the aliases of {function}", "lambda:ListAliases"):
        pages = functions.get_paginator("list_aliases").paginate(FunctionName=function)
        return [_alias(entry) for page in pages for entry in page["Aliases"]]


def alias(functions: LambdaClient, function: str, name: str) -> Alias | None:
    """Return an alias by its name; None if it or the function does not exist. Raise AwsError."""
    with calling(f"the alias {name} of {function}", "lambda:GetAlias"):
        try:
            return _alias(functions.get_alias(FunctionName=function, Name=name))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise


def provisioned(functions: LambdaClient, function: str, qualifier: str) -> int | None:
    """Return how many provisioned instances an alias requests, or None. Raise AwsError."""
    with calling(f"the provisioned concurrency of {function}:{qualifier}", "lambda:GetProvisionedConcurrencyConfig"):
        try:
            config = functions.get_provisioned_concurrency_config(FunctionName=function, Qualifier=qualifier)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ProvisionedConcurrencyConfigNotFoundException":
                return None
            raise
    return int(config["RequestedProvisionedConcurrentExecutions"])


def behind(functions: LambdaClient, function: str) -> set[int]:
    """Return the versions that any alias routes traffic to. Raise AwsError."""
    versions = (version for one in aliases(functions, function) for version in (one.version, *one.weights))
    return {int(version) for version in versions if version.isdecimal()}


def release(functions: LambdaClient, function: str, version: int) -> str:
    """Return the release digest of a version; empty if it has none. Raise AwsError."""
    with calling(f"the configuration of {function}:{version}", "lambda:GetFunctionConfiguration"):
        config = functions.get_function_configuration(FunctionName=function, Qualifier=str(version))
    return str(config.get("Environment", {}).get("Variables", {}).get("PILOTLIGHT_RELEASE", ""))


def unreserved(functions: LambdaClient) -> int:
    """Return the account's unreserved concurrency. Raise AwsError."""
    with calling("the account's limits", "lambda:GetAccountSettings"):
        return int(functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"])


def snapshots(functions: LambdaClient, function: str) -> int:
    """Return how many versions have a snapshot. Raise AwsError."""
    return sum(has_snapshot(functions, function, str(version)) for version in published(functions, function))


def has_snapshot(functions: LambdaClient, function: str, qualifier: str) -> bool:
    """Return whether the version behind a qualifier starts from a snapshot. Raise AwsError."""
    with calling(f"the configuration of {function}:{qualifier}", "lambda:GetFunctionConfiguration"):
        config = functions.get_function_configuration(FunctionName=function, Qualifier=qualifier)
    return bool(config.get("SnapStart", {}).get("OptimizationStatus") == "On")


def delete(functions: LambdaClient, function: str, version: int) -> None:
    """Delete one version. Raise AwsError."""
    with calling(f"deleting version {version} of {function}", "lambda:DeleteFunction"):
        functions.delete_function(FunctionName=function, Qualifier=str(version))


def _alias(entry: Mapping[str, Any]) -> Alias:
    weights = (entry.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return Alias(entry["Name"], entry["FunctionVersion"], dict(weights))
