"""Stacks as CloudFormation reports them, and the states that do not allow a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.calls import calling

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

# A stack that does not exist: at most it has a change set that was never executed.
_NONEXISTENT = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")

_GUIDE = "docs/guides/operate-on-aws.md has the steps"
_CREATION_FAILED = (
    "its creation failed, so it can only be deleted: 'aws cloudformation delete-stack --stack-name {name}'; "
    "'aws cloudformation describe-stack-events --stack-name {name}' lists the failures"
)
_REMEDIES = {
    "CREATE_FAILED": _CREATION_FAILED,
    "ROLLBACK_COMPLETE": _CREATION_FAILED,
    "ROLLBACK_FAILED": _CREATION_FAILED,
    "DELETE_FAILED": (
        "its deletion failed; delete it again: 'aws cloudformation delete-stack --stack-name {name}', with "
        "--retain-resources for resources that cannot be deleted"
    ),
    "UPDATE_FAILED": (
        "an update failed without a rollback: 'aws cloudformation rollback-stack --stack-name {name}' rolls it back"
    ),
    "UPDATE_ROLLBACK_FAILED": (
        "an update failed, and so did its rollback: fix the cause, then run 'aws cloudformation "
        f"continue-update-rollback --stack-name {{name}}'; {_GUIDE}"
    ),
}


class NotDeployable(PilotlightError):
    """A stack is in a state that allows no update; the message has the remedy."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack. `reason` is CloudFormation's explanation of the status, mostly empty."""

    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


def read_stack(cloudformation: CloudFormationClient, name: str) -> Stack | None:
    """Return a stack by its name or ARN, or None. Raise AwsError."""
    with calling(f"the stack {name}", "cloudformation:DescribeStacks"):
        try:
            description = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    if description["StackStatus"] in _NONEXISTENT:
        return None
    return Stack(
        description["StackName"],
        description["StackStatus"],
        description.get("StackStatusReason", ""),
        {entry["ParameterKey"]: entry["ParameterValue"] for entry in description.get("Parameters", [])},
        {entry["OutputKey"]: entry["OutputValue"] for entry in description.get("Outputs", [])},
    )


def resource_names(cloudformation: CloudFormationClient, stack: str, kind: str) -> list[str]:
    """Return the names of a stack's resources of one type, those of its nested stacks included. Raise AwsError."""
    names: list[str] = []
    with calling(f"the resources of {stack}", "cloudformation:ListStackResources"):
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        found = [one for page in pages for one in page["StackResourceSummaries"]]
    for one in found:
        name = one.get("PhysicalResourceId")  # missing until the resource is made
        if name and one["ResourceType"] == kind:
            names.append(name)
        elif name and one["ResourceType"] == "AWS::CloudFormation::Stack":
            names += resource_names(cloudformation, name, kind)
    return names


def check_deployable(stack: Stack) -> None:
    """Raise NotDeployable if a stack cannot be updated."""
    if stack.status in _REMEDIES:
        remedy = _REMEDIES[stack.status].format(name=stack.name)
    elif stack.status.endswith("_IN_PROGRESS"):
        remedy = "an operation is in progress; wait until it ends, and deploy again"
    else:
        return
    reason = f" ({stack.reason})" if stack.reason else ""
    raise NotDeployable(f"the stack {stack.name} is in {stack.status}{reason}: {remedy}")


def aftermath(stack: Stack | None) -> str:
    """Return a sentence on the state after a failed deployment, and what to do."""
    if stack is None:
        return "The stack does not exist: nothing was deployed"
    try:
        check_deployable(stack)
    except NotDeployable as error:
        return f"Now {error}"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return (
            f"The stack {stack.name} was rolled back, and the alias with it. If a hook or an alarm stopped the "
            "release, the deployment in CodeDeploy's console names it"
        )
    return f"The stack {stack.name} is in {stack.status}, as before"
