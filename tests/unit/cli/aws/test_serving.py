"""What `pilotlight status` says about a stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, SSOTokenLoadError

from fakes.lambda_api import FakeLambda, lambda_api
from pilotlight_cli.aws.calls import AwsError, NoAccess, NoCredentials, calling
from pilotlight_cli.aws.serving import read_deployment
from pilotlight_cli.project.status import Deployment, Share

PIN, OTHER = "a" * 64, "b" * 64


def version(number: str, lock: str) -> Callable[[object], Any]:
    return lambda _: {"function_version": number, "release": f"release {number}", "lock": lock}


@pytest.fixture
def deployed(aws: Callable[[str], Any], name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    """Give a function with two versions; the second has the pin."""
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    aws("cloudformation").create_stack(StackName=name, TemplateBody=body)
    function = FakeLambda(f"{name}-predict", {"1": version("1", OTHER), "2": version("2", PIN)}, {"live": "2"})
    with lambda_api(function) as found:
        for variable, value in found.items():
            monkeypatch.setenv(variable, value)
        yield function


@pytest.fixture
def read(aws: Callable[[str], Any], name: str, tmp_path: Path) -> Callable[[], Deployment]:
    """Give what reads the environment `dev`, whose stack is `name`."""
    file = tmp_path / "samconfig.toml"
    file.write_text(f'[dev.global.parameters]\nstack_name = "{name}"\nregion = "us-east-1"\n')
    return lambda: read_deployment(file, "dev", PIN)


def test_the_alias_serves_this_pin_or_another(deployed: FakeLambda, read: Callable[[], Deployment]) -> None:
    assert read().shares == (Share("version 2", 100, "release 2", is_pin=True, lock=PIN),)
    deployed.aliases["live"] = "1"
    assert read().shares == (Share("version 1", 100, "release 1", is_pin=False, lock=OTHER),)


def test_a_rollout_has_a_share_for_each_version(deployed: FakeLambda, read: Callable[[], Deployment]) -> None:
    deployed.aliases["live"] = "1"
    deployed.weights["live"] = {"2": 0.1}
    assert [(share.version, share.percent, share.is_pin) for share in read().shares] == [
        ("version 1", 90, False),
        ("version 2", 10, True),
    ]


def test_without_a_stack_nothing_is_deployed(name: str, read: Callable[[], Deployment]) -> None:
    assert read() == Deployment("aws", "dev", name, "not deployed")


def test_without_an_alias_nothing_is_deployed(deployed: FakeLambda, read: Callable[[], Deployment]) -> None:
    deployed.aliases.clear()
    assert read().state == "not deployed"


def test_a_function_that_does_not_describe_itself_is_a_failure(
    deployed: FakeLambda, read: Callable[[], Deployment]
) -> None:
    deployed.versions["2"] = lambda _: "hello"
    found = read()
    assert (found.state, found.shares) == ("failed", ())
    assert "returned hello, expected a description of its version" in found.reason


def test_settings_that_are_not_valid_are_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text("[dev]\n")
    found = read_deployment(file, "dev", PIN)
    assert (found.state, found.name) == ("not set up", "")
    assert "dev.deploy.parameters.stack_name: found nothing, expected a string" in found.reason


def test_a_missing_region_is_a_reason(
    aws: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    file = tmp_path / "samconfig.toml"
    file.write_text('[dev.global.parameters]\nstack_name = "models"\n')
    found = read_deployment(file, "dev", PIN)
    assert (found.state, found.name) == ("not set up", "models")
    assert "set AWS_DEFAULT_REGION" in found.reason


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused("AccessDenied"), NoAccess),
        (refused("ExpiredToken"), NoCredentials),
        (refused("Throttling"), AwsError),
        (SSOTokenLoadError(error_msg="expired"), NoCredentials),
    ],
)
def test_errors_of_credentials_are_told_apart(error: Exception, kind: type[AwsError]) -> None:
    with pytest.raises(AwsError, match="^the stack") as raised, calling("the stack"):
        raise error
    assert type(raised.value) is kind
