"""What CloudFormation says of a stack, and the states that nothing can be deployed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.calls import calling

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

# A stack that was never made: all that it has is a change set which nobody carried out.
_NOT_THERE = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")

_GUIDE = "docs/guides/operate-on-aws.md has the steps"
_CREATION_FAILED = (
    "its creation failed, and such a stack can only be deleted: 'aws cloudformation delete-stack --stack-name {name}'; "
    "what failed first is in 'aws cloudformation describe-stack-events --stack-name {name}'"
)
_WAYS_OUT = {
    "CREATE_FAILED": _CREATION_FAILED,
    "ROLLBACK_COMPLETE": _CREATION_FAILED,
    "ROLLBACK_FAILED": _CREATION_FAILED,
    "DELETE_FAILED": (
        "its deletion failed; delete it again: 'aws cloudformation delete-stack --stack-name {name}', with "
        "--retain-resources for what does not go"
    ),
    "UPDATE_FAILED": (
        "an update failed and was not rolled back: 'aws cloudformation rollback-stack --stack-name {name}' goes back"
    ),
    "UPDATE_ROLLBACK_FAILED": (
        "an update failed, and so did its rollback: mend what it stumbled over, then 'aws cloudformation "
        f"continue-update-rollback --stack-name {{name}}'; {_GUIDE}"
    ),
}


class NotDeployable(PilotlightError):
    """A stack is in a state that it cannot be updated from; the message has the way out."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it is deployed. `reason` is CloudFormation's own word on its status, mostly empty."""

    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


def read_stack(cloudformation: CloudFormationClient, name: str) -> Stack | None:
    """A stack by its name or ARN; None where there is none. Raises AwsError."""
    with calling(f"the stack {name}", "cloudformation:DescribeStacks"):
        try:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    if found["StackStatus"] in _NOT_THERE:
        return None
    return Stack(
        found["StackName"],
        found["StackStatus"],
        found.get("StackStatusReason", ""),
        {entry["ParameterKey"]: entry["ParameterValue"] for entry in found.get("Parameters", [])},
        {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])},
    )


def check_deployable(stack: Stack) -> None:
    """Refuse a stack that cannot be updated. Raises NotDeployable."""
    if stack.status in _WAYS_OUT:
        way_out = _WAYS_OUT[stack.status].format(name=stack.name)
    elif stack.status.endswith("_IN_PROGRESS"):
        way_out = "something is at work on it; wait until that is done, and deploy again"
    else:
        return
    said = f" ({stack.reason})" if stack.reason else ""
    raise NotDeployable(f"the stack {stack.name} is in {stack.status}{said}: {way_out}")


def aftermath(stack: Stack | None) -> str:
    """What a failed deployment left, and what to do about it."""
    if stack is None:
        return "There is no stack: nothing was deployed"
    try:
        check_deployable(stack)
    except NotDeployable as error:
        return f"Now {error}"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return (
            f"The stack {stack.name} went back to what it was, and the alias with it. Where a hook or an alarm stopped "
            "the release, the deployment in CodeDeploy's console says which"
        )
    return f"The stack {stack.name} is in {stack.status}, as before"
