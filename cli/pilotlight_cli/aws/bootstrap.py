"""The stack `pilotlight-bootstrap`: the model store that an account and region has once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import WaiterError

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.calls import calling
from pilotlight_cli.aws.stacks import Stack, check_deployable, read_stack
from pilotlight_cli.project import PROJECT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

STACK = "pilotlight-bootstrap"

_PAUSE = 5  # seconds between two looks; the stack takes about a minute
_LOOKS = 120


class BootstrapFailed(PilotlightError):
    """The model store could not be made, or is not what bootstrap.yaml makes."""


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Where an account has its models, and the KMS key that encrypts them, if it is one of its own.

    `boundary` is the permissions boundary without which a pipeline may make no role; empty where none deploys.
    """

    url: str
    key_arn: str
    boundary: str = ""


def find_store(cloudformation: CloudFormationClient) -> ModelStore | None:
    """The model store of this account and region; None where there is none yet. Raises AwsError, BootstrapFailed."""
    stack = read_stack(cloudformation, STACK)
    return None if stack is None else _store_of(stack)


def make_store(
    cloudformation: CloudFormationClient,
    template: Path = PROJECT / "bootstrap.yaml",
    pause: int = _PAUSE,
) -> ModelStore:
    """Make the stack; `pause` seconds go by between two looks at it. Raises AwsError, BootstrapFailed."""
    return _store_of(_create(cloudformation, template.read_text(encoding="utf-8"), pause))


def _store_of(stack: Stack) -> ModelStore:
    check_deployable(stack)
    if "StoreUrl" not in stack.outputs:
        raise BootstrapFailed(f"the stack {STACK} has no output StoreUrl; update it with bootstrap.yaml")
    outputs = stack.outputs
    return ModelStore(outputs["StoreUrl"], outputs.get("KeyArn", ""), outputs.get("PermissionsBoundary", ""))


def _create(cloudformation: CloudFormationClient, body: str, pause: int) -> Stack:
    with calling(f"creating the stack {STACK}", "cloudformation:CreateStack"):
        made = cloudformation.create_stack(
            StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"], EnableTerminationProtection=True
        )["StackId"]
        try:
            waiter = cloudformation.get_waiter("stack_create_complete")
            waiter.wait(StackName=made, WaiterConfig={"Delay": pause, "MaxAttempts": _LOOKS})
        except WaiterError:
            raise BootstrapFailed(f"the stack {STACK} was not made: {_reasons(cloudformation, made)}") from None
    stack = read_stack(cloudformation, made)
    if stack is None:
        raise BootstrapFailed(f"the stack {STACK} was made and is gone again; somebody deleted it")
    return stack


def _reasons(cloudformation: CloudFormationClient, stack: str) -> str:
    """What failed, in the order in which it did. What was only called off because of that says nothing."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("_FAILED")]
    causes = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in failed
        if "cancelled" not in event.get("ResourceStatusReason", "").lower()
    ]
    return "; ".join(causes) or f"it is not ready after {_PAUSE * _LOOKS / 60:.0f} minutes; look at it and deploy again"
