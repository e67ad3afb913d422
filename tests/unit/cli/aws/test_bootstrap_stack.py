"""The account's model store: made once, found again afterwards. CloudFormation is moto's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import WaiterError

from fakes.s3_server import S3Server
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.bootstrap import STACK, BootstrapFailed, ModelStore, find_store, make_store
from pilotlight_cli.aws.stacks import NotDeployable

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {}}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@pytest.fixture
def cloudformation(aws: Callable[[str], Any], s3_server: S3Server) -> Iterator[Any]:
    """CloudFormation without the stack, before and after."""
    client = aws("cloudformation")
    yield client
    client.delete_stack(StackName=STACK)
    s3_server.drop_buckets("pilotlight-")  # which the stack leaves behind


def make(cloudformation: Any, folder: Path, **outputs: str) -> ModelStore:
    document = {"Resources": {"StoreBucket": TOPIC}, "Outputs": {name: {"Value": outputs[name]} for name in outputs}}
    template = folder / "bootstrap.json"
    template.write_text(json.dumps(document))
    return make_store(cloudformation, template, poll_seconds=0)


# moto makes the buckets, and not their policies.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..S3..BucketPolicy:UserWarning")
def test_the_store_is_made_and_found_again(cloudformation: Any) -> None:
    assert find_store(cloudformation) is None
    made = make_store(cloudformation, ROOT / "bootstrap.yaml", poll_seconds=0)
    assert made == find_store(cloudformation) == ModelStore("s3://pilotlight-models-123456789012-us-east-1", "")


def test_a_key_of_ones_own_comes_with_the_store(cloudformation: Any, tmp_path: Path) -> None:
    assert make(cloudformation, tmp_path, StoreUrl="s3://models", KeyArn=KEY) == ModelStore("s3://models", KEY)


def test_the_boundary_of_pipelines_comes_with_the_store(cloudformation: Any, tmp_path: Path) -> None:
    made = make(cloudformation, tmp_path, StoreUrl="s3://models", PermissionsBoundary="arn:aws:iam::1:policy/b")
    assert made == ModelStore("s3://models", "", "arn:aws:iam::1:policy/b")


def test_nobody_deletes_the_stack_by_mistake(cloudformation: Any, tmp_path: Path) -> None:
    make(cloudformation, tmp_path, StoreUrl="s3://models")
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["EnableTerminationProtection"]


def test_a_stack_of_that_name_without_a_store_is_refused(cloudformation: Any, tmp_path: Path) -> None:
    with pytest.raises(BootstrapFailed, match="has no output StoreUrl; update it with bootstrap.yaml"):
        make(cloudformation, tmp_path, Other="1")


class Failing:
    """A CloudFormation that makes no stack."""

    def __init__(self, *reasons: str) -> None:
        self._events = [
            {"LogicalResourceId": f"R{number}", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": reason}
            for number, reason in enumerate(reasons, 1)
        ]

    def create_stack(self, **_: object) -> dict[str, str]:
        return {"StackId": "arn:stack"}

    def get_waiter(self, _: str) -> Failing:
        return self

    def wait(self, **_: object) -> None:
        raise WaiterError("StackCreateComplete", "Waiter encountered a terminal failure state", {})

    def describe_stack_events(self, StackName: str) -> dict[str, object]:  # noqa: N803 - boto3's name
        assert StackName == "arn:stack"
        made = {"LogicalResourceId": "R0", "ResourceStatus": "CREATE_COMPLETE"}
        return {"StackEvents": [*reversed(self._events), made]}


def test_what_failed_first_is_said_and_what_was_called_off_is_not(tmp_path: Path) -> None:
    failing = Failing("the bucket exists", "Resource creation cancelled", "no such key")
    with pytest.raises(BootstrapFailed, match="was not created: R1: the bucket exists; R3: no such key$"):
        make(failing, tmp_path)


def test_a_stack_that_takes_too_long_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(BootstrapFailed, match="not complete after 10 minutes; check its status and deploy again"):
        make(Failing(), tmp_path)


class Stuck:
    """A CloudFormation whose stack was given up."""

    def describe_stacks(self, StackName: str) -> dict[str, object]:  # noqa: N803 - boto3's name
        return {"Stacks": [{"StackName": StackName, "StackStatus": "ROLLBACK_COMPLETE"}]}


def test_a_store_whose_creation_failed_earlier_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotDeployable, match=f"the stack {STACK} is in ROLLBACK_COMPLETE: .*delete-stack"):
        find_store(cast("CloudFormationClient", Stuck()))
