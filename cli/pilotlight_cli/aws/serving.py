"""What the stack of an environment serves, for `pilotlight status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws import AwsUsageError, versions
from pilotlight_cli.aws.calls import NoAccess, NoCredentials, NoRegion, calling, client
from pilotlight_cli.aws.deploy import function_name
from pilotlight_cli.aws.environments import Environment, SamConfigError, read_environment
from pilotlight_cli.aws.judging import judged
from pilotlight_cli.aws.served import ALIAS, read_served
from pilotlight_cli.aws.stacks import read_stack, resource_names
from pilotlight_cli.project.status import Deployment, Details, Share

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_NAMES = 100  # of alarms, that one call takes

_STATES: dict[type[PilotlightError], str] = {
    NoCredentials: "no credentials",
    NoAccess: "no access",
    NoRegion: "not set up",
    AwsUsageError: "not set up",
    SamConfigError: "not set up",
}


def read_deployment(file: Path, environment: str, pin: str) -> Deployment:
    """Return what an environment of a samconfig.toml serves. `pin` is the SHA-256 of the model's lock, or empty."""
    name = ""
    try:
        target = read_environment(environment, file)
        name = target.stack
        shares = _shares(target, pin)
    except PilotlightError as error:
        return Deployment("aws", environment, name, _STATES.get(type(error), "failed"), reason=str(error))
    return Deployment("aws", environment, name, "serving" if shares else "not deployed", shares)


def _shares(target: Environment, pin: str) -> tuple[Share, ...]:
    """Return the versions that share the alias's traffic; none before the first deployment."""
    if read_stack(client("cloudformation", target.region), target.stack) is None:
        return ()
    functions, function = client("lambda", target.region), function_name(target)
    alias = versions.alias(functions, function, ALIAS)
    if alias is None:
        return ()
    if not alias.weights:  # instances that are kept ready answer under the alias alone
        return (_share(functions, function, ALIAS, 100, pin),)
    weights = {version: round(100 * weight) for version, weight in alias.weights.items()}
    split = {alias.version: 100 - sum(weights.values())} | weights
    return tuple(_share(functions, function, version, percent, pin) for version, percent in split.items())


def _share(functions: LambdaClient, function: str, qualifier: str, percent: int, pin: str) -> Share:
    served = read_served(functions, function, qualifier)
    return Share(f"version {served.version}", percent, served.release, served.model, served.lock == pin, served.lock)


def read_details(target: Environment, shares: tuple[Share, ...]) -> Details:
    """Return more of an environment whose versions share the traffic like this. Raise AwsError."""
    cloudformation = client("cloudformation", target.region)
    stack = read_stack(cloudformation, target.stack)
    if stack is None:
        return Details()
    parts = [f"{share.version} at {share.percent} %" for share in shares[1:]]
    numbers = [share.version.removeprefix("version ") for share in shares[:2]]
    if len(numbers) == 2 and (said := judged(client("lambda", target.region), target.stack, *numbers)):
        parts.append(f"the judge says {said}")
    if stack.status.endswith("_IN_PROGRESS"):
        parts.append(f"the stack is in {stack.status}")
    names = resource_names(cloudformation, target.stack, "AWS::CloudWatch::Alarm")
    return Details(stack.outputs.get("ApiUrl", ""), ", ".join(parts), _states(target, names))


def _states(target: Environment, alarms: Sequence[str]) -> Mapping[str, str]:
    """Return the state of each alarm by its name. An alarm that somebody deleted has none."""
    with calling(f"the alarms of {target.stack}", "cloudwatch:DescribeAlarms"):
        pages = client("cloudwatch", target.region).get_paginator("describe_alarms")
        parts = [pages.paginate(AlarmNames=alarms[first : first + _NAMES]) for first in range(0, len(alarms), _NAMES)]
        return {one["AlarmName"]: one["StateValue"] for part in parts for page in part for one in page["MetricAlarms"]}
