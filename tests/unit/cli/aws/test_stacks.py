"""What is read of a stack, and the states that nothing can be deployed from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight_cli.aws.calls import AwsError
from pilotlight_cli.aws.stacks import NotDeployable, Stack, aftermath, check_deployable, read_stack

TEMPLATE = {
    "Parameters": {"Size": {"Type": "Number", "Default": "3"}},
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}},
    "Outputs": {"Url": {"Value": {"Fn::Sub": "https://example.com/${Size}"}}},
}


def stack(status: str, reason: str = "") -> Stack:
    return Stack("models", status, reason, {}, {})


@pytest.fixture
def cloudformation(aws: Callable[[str], Any]) -> Any:
    return aws("cloudformation")


def test_a_stack_has_its_parameters_and_outputs(cloudformation: Any, name: str) -> None:
    parameters = [{"ParameterKey": "Size", "ParameterValue": "5"}]
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE), Parameters=parameters)
    found = read_stack(cloudformation, name)
    assert found == Stack(name, "CREATE_COMPLETE", "", {"Size": "5"}, {"Url": "https://example.com/5"})


def test_a_stack_that_is_not_there_is_none(cloudformation: Any, name: str) -> None:
    assert read_stack(cloudformation, name) is None


def test_a_stack_that_has_only_a_change_set_is_none(cloudformation: Any, name: str) -> None:
    cloudformation.create_change_set(
        StackName=name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=json.dumps(TEMPLATE)
    )
    assert cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert read_stack(cloudformation, name) is None


def test_a_stack_that_cannot_be_read_is_named(aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:1")
    with pytest.raises(AwsError, match="the stack models: no response"):
        read_stack(aws("cloudformation"), "models")


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"]
)
def test_a_stack_that_is_at_rest_can_be_deployed_to(status: str) -> None:
    check_deployable(stack(status))


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("ROLLBACK_COMPLETE", "can only be deleted: 'aws cloudformation delete-stack --stack-name models'"),
        ("CREATE_FAILED", "can only be deleted"),
        ("ROLLBACK_FAILED", "can only be deleted"),
        ("DELETE_FAILED", "delete it again: .* --retain-resources"),
        ("UPDATE_FAILED", "'aws cloudformation rollback-stack --stack-name models' rolls it back"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name models'; docs/guides/operate-on-aws.md"),
        ("UPDATE_IN_PROGRESS", "wait until it ends, and deploy again"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait until it ends"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "wait until it ends"),
        ("DELETE_IN_PROGRESS", "wait until it ends"),
    ],
)
def test_a_stack_that_cannot_be_deployed_to_is_refused_with_the_way_out(status: str, way_out: str) -> None:
    with pytest.raises(NotDeployable, match=rf"the stack models is in {status} \(Oh no\): .*{way_out}"):
        check_deployable(stack(status, "Oh no"))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("UPDATE_ROLLBACK_COMPLETE", "was rolled back, and the alias with it"),
        ("UPDATE_ROLLBACK_FAILED", "Now the stack models is in UPDATE_ROLLBACK_FAILED: .*continue-update-rollback"),
        ("ROLLBACK_COMPLETE", "Now the stack models is in ROLLBACK_COMPLETE: .*can only be deleted"),
        ("UPDATE_COMPLETE", "The stack models is in UPDATE_COMPLETE, as before"),
    ],
)
def test_what_a_failed_deployment_left_is_said(status: str, sentence: str) -> None:
    assert re.search(sentence, aftermath(stack(status)))


def test_a_deployment_that_failed_before_it_began_left_nothing() -> None:
    assert aftermath(None) == "The stack does not exist: nothing was deployed"
