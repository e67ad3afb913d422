"""`pilotlight rollback aws`: gives the version before all traffic again, in seconds.

CodeDeploy's history says which version that is: a version that a release left behind never served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws import versions
from pilotlight_cli.aws.calls import calling
from pilotlight_cli.aws.deploy import function_name, records_name
from pilotlight_cli.aws.release import FUNCTION, RECORDS, STREAMS
from pilotlight_cli.aws.served import ALIAS, read_served
from pilotlight_cli.aws.stacks import check_deployable, read_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient

    from pilotlight_cli.aws.environments import Environment

# As SAM names them: https://github.com/aws/serverless-application-model/blob/develop/docs/internals/generated_resources.rst
_APPLICATION = "ServerlessDeploymentApplication"
_GROUP = "DeploymentGroup"

_RUNNING = ("Created", "Queued", "InProgress")


class RollbackRefused(PilotlightError):
    """Nothing was changed; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Account:
    """Clients of AWS's services, and the dialogue with the user."""

    cloudformation: CloudFormationClient
    codedeploy: Any
    functions: LambdaClient
    confirm: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class PutBack:
    """The version that has all traffic again, and the one that had it; `stopped` if a release was in progress."""

    version: str
    replaced: str
    stopped: bool = False


def roll_back(target: Environment, account: Account, which: str = "predict") -> PutBack:
    """Stop the release in progress, else point the alias to the version before. Raise RollbackRefused, AwsError.

    The version before has to answer first. `which` is the function, `predict` or `records`; each goes back by itself.
    """
    scores_records = which == "records"
    stack = read_stack(account.cloudformation, target.stack)
    function = records_name(target) if scores_records else function_name(target)
    alias = versions.alias(account.functions, function, ALIAS) if stack else None
    if stack is None or alias is None:
        missing = f"{function} of the stack" if scores_records and stack else "the stack"
        raise RollbackRefused(f"{missing} {target.stack} is not deployed, so there is no version to go back to")
    owner = _resource(account, target.stack, STREAMS) if scores_records else target.stack
    names = (_APPLICATION, f"{RECORDS if scores_records else FUNCTION}{_GROUP}")
    application, group = (_resource(account, owner, name) for name in names)
    running = next(_deployments(account, application, group, *_RUNNING), "")
    if running:
        _ask(account, f"Stop the release in progress of {target.stack}, and leave version {alias.version} in service?")
        with calling(f"stopping the deployment {running}", "codedeploy:StopDeployment"):
            account.codedeploy.stop_deployment(deploymentId=running, autoRollbackEnabled=True)
        return PutBack(alias.version, ", ".join(alias.weights), stopped=True)
    check_deployable(stack)
    # With weights and no release in progress, a release was abandoned half way.
    before = alias.version if alias.weights else _before(account, application, group, alias.version)
    replaced = ", ".join(alias.weights) or alias.version
    served = read_served(account.functions, function, before)
    what = f"version {before} ({served.model})" if served.model else f"version {before}"
    _ask(account, f"Give {what} of {target.stack} all traffic, instead of version {replaced}?")
    with calling(f"pointing {function}:{ALIAS} to version {before}", "lambda:UpdateAlias"):
        account.functions.update_alias(
            FunctionName=function, Name=ALIAS, FunctionVersion=before, RoutingConfig={"AdditionalVersionWeights": {}}
        )
    return PutBack(before, replaced)


def _ask(account: Account, question: str) -> None:
    if not account.confirm(question):
        raise RollbackRefused("nothing was changed")


def _resource(account: Account, stack: str, name: str) -> str:
    with calling(f"{name} of the stack {stack}", "cloudformation:DescribeStackResource"):
        found = account.cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def _deployments(account: Account, application: str, group: str, *statuses: str) -> Iterator[str]:
    """Yield the ids of deployments in these states, newest first."""
    with calling(f"the deployments of {application}", "codedeploy:ListDeployments"):
        pages = account.codedeploy.get_paginator("list_deployments").paginate(
            applicationName=application, deploymentGroupName=group, includeOnlyStatuses=list(statuses)
        )
        for page in pages:
            yield from page["deployments"]


def _before(account: Account, application: str, group: str, live: str) -> str:
    """Return the version that the release of the live one replaced."""
    for deployment in _deployments(account, application, group, "Succeeded"):
        shift = _shift(account, deployment)
        if shift.get("TargetVersion") == live and shift.get("CurrentVersion") not in (None, live):
            return shift["CurrentVersion"]
    raise RollbackRefused(f"CodeDeploy knows no release of version {live}, so there is no version before it")


def _shift(account: Account, deployment: str) -> dict[str, str]:
    """Return the versions of a deployment's AppSpec. One that CloudFormation made names its revision by a digest."""
    with calling(f"the deployment {deployment}", "codedeploy:GetDeployment and codedeploy:GetApplicationRevision"):
        info = account.codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
        found = account.codedeploy.get_application_revision(
            applicationName=info["applicationName"], revision=info["revision"]
        )["revision"]
    places = (found.get("appSpecContent"), found.get("string"))
    content = next((place["content"] for place in places if place and place.get("content")), "{}")
    resources = json.loads(content).get("Resources", [])
    return {key: str(value) for one in resources for part in one.values() for key, value in part["Properties"].items()}
