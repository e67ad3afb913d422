"""The stack `pilotlight-bootstrap`: the model store that an account and region has once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import WaiterError

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.calls import calling
from pilotlight_cli.aws.stacks import Stack, check_deployable, read_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

STACK = "pilotlight-bootstrap"

_POLL_SECONDS = 5  # the stack takes about a minute
_MAX_POLLS = 120


class BootstrapFailed(PilotlightError):
    """The model store could not be created, or lacks what bootstrap.yaml creates."""


@dataclass(frozen=True, slots=True)
class ModelStore:
    """The URL of an account's model store and the ARN of its KMS key; the ARN is empty if S3's own keys encrypt it.

    `boundary` is the permissions boundary that a pipeline must set on each role; empty if no pipeline deploys.
    """

    url: str
    key_arn: str
    boundary: str = ""


def find_store(cloudformation: CloudFormationClient) -> ModelStore | None:
    """Return the model store of this account and region, or None. Raise AwsError or BootstrapFailed."""
    stack = read_stack(cloudformation, STACK)
    return None if stack is None else _store_of(stack)


def make_store(
    cloudformation: CloudFormationClient,
    template: Path,
    poll_seconds: int = _POLL_SECONDS,
) -> ModelStore:
    """Create the stack, and poll its status every `poll_seconds`. Raise AwsError or BootstrapFailed."""
    return _store_of(_create(cloudformation, template.read_text(encoding="utf-8"), poll_seconds))


def _store_of(stack: Stack) -> ModelStore:
    check_deployable(stack)
    if "StoreUrl" not in stack.outputs:
        raise BootstrapFailed(f"the stack {STACK} has no output StoreUrl; update it with bootstrap.yaml")
    outputs = stack.outputs
    return ModelStore(outputs["StoreUrl"], outputs.get("KeyArn", ""), outputs.get("PermissionsBoundary", ""))


def _create(cloudformation: CloudFormationClient, body: str, poll_seconds: int) -> Stack:
    with calling(f"creating the stack {STACK}", "cloudformation:CreateStack"):
        made = cloudformation.create_stack(
            StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"], EnableTerminationProtection=True
        )["StackId"]
        try:
            waiter = cloudformation.get_waiter("stack_create_complete")
            waiter.wait(StackName=made, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": _MAX_POLLS})
        except WaiterError:
            raise BootstrapFailed(f"the stack {STACK} was not created: {_reasons(cloudformation, made)}") from None
    stack = read_stack(cloudformation, made)
    if stack is None:
        raise BootstrapFailed(f"the stack {STACK} was deleted right after its creation")
    return stack


def _reasons(cloudformation: CloudFormationClient, stack: str) -> str:
    """Return the failures in their order, without the resources that were only cancelled because of them."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("_FAILED")]
    causes = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in failed
        if "cancelled" not in event.get("ResourceStatusReason", "").lower()
    ]
    return (
        "; ".join(causes)
        or f"not complete after {_POLL_SECONDS * _MAX_POLLS / 60:.0f} minutes; check its status and deploy again"
    )
