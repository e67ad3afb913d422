"""How traffic moves to a new version: CodeDeploy's group, its hooks, and what waits for what."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter

import pytest

from hook_report import CHECK_SECONDS, REPORT_SECONDS
from pilotlight_cli.assets import FUNCTIONS
from templates import MODES, TEMPLATE, Resources, of_type, properties, stack, statements, the, waits_for

GROUP = "AWS::CodeDeploy::DeploymentGroup"
ALIAS = "AWS::Lambda::Alias"
ALARMS = {
    "ServerErrorsAlarm",
    "FunctionErrorsAlarm",
    "LatencyAlarm",
    "InitFailuresAlarm",
    "OutOfRangeAlarm",
    "WorseAlarm",
}


def before(resources: Resources, name: str) -> set[str]:
    """All that CloudFormation has to have done before this resource."""
    direct = waits_for(resources, name)
    return direct.union(*(before(resources, other) for other in direct))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_alias_is_moved_by_codedeploy_with_both_hooks(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    assert resources[the(resources, ALIAS)]["UpdatePolicy"] == {
        "CodeDeployLambdaAliasUpdate": {
            "ApplicationName": {"Ref": the(resources, "AWS::CodeDeploy::Application")},
            "DeploymentGroupName": {"Ref": the(resources, GROUP)},
            "BeforeAllowTrafficHook": {"Ref": "PreTrafficHook"},
            "AfterAllowTrafficHook": {"Ref": "PostTrafficHook"},
        }
    }


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_alarm_stops_a_deployment_and_takes_it_back(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    group = properties(resources, the(resources, GROUP))
    assert {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]} == ALARMS
    assert group["AlarmConfiguration"]["Enabled"] is True
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(group["AutoRollbackConfiguration"]["Events"])


def test_traffic_moves_linearly_unless_a_parameter_says_otherwise() -> None:
    resources = stack()
    group = properties(resources, the(resources, GROUP))
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    assert group["DeploymentStyle"] == {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}


@pytest.mark.parametrize("type_", TEMPLATE["Parameters"]["DeploymentType"]["AllowedValues"])
def test_every_deployment_type_is_one_that_codedeploy_has(type_: str) -> None:
    resources = stack(DeploymentType=type_)
    group = properties(resources, the(resources, GROUP))
    assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{type_}"


def test_codedeploys_role_may_invoke_the_hooks_by_their_names() -> None:
    # The managed policy allows lambda:InvokeFunction on function:CodeDeployHook_* alone.
    resources = stack()
    for hook in ("PreTrafficHook", "PostTrafficHook"):
        assert properties(resources, hook)["FunctionName"].startswith("CodeDeployHook_pilotlight-dev-")
    group = properties(resources, the(resources, GROUP))
    assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["CodeDeployRole", "Arn"]}
    (policy,) = properties(resources, "CodeDeployRole")["ManagedPolicyArns"]
    assert policy == "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_nothing_waits_for_itself(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    TopologicalSorter({name: waits_for(resources, name) for name in resources}).prepare()


def test_hooks_and_alarms_are_new_before_traffic_moves() -> None:
    resources = stack()
    assert before(resources, the(resources, ALIAS)) >= ALARMS | {"PreTrafficHook", "PostTrafficHook"}


def test_hooks_may_ask_any_version_and_report_on_this_deployment_alone() -> None:
    allowed = statements(stack(), "HookRole")
    assert allowed["ReadAndReportThisDeployment"]["Action"] == [
        "codedeploy:GetDeployment",
        "codedeploy:PutLifecycleEventHookExecutionStatus",
    ]
    assert allowed["ReadAndReportThisDeployment"]["Resource"]["Fn::Sub"] == [
        "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:${Application}/${Group}",
        {"Application": {"Ref": "ServerlessDeploymentApplication"}, "Group": {"Ref": "PredictFunctionDeploymentGroup"}},
    ]
    assert allowed["AskAnyVersion"]["Resource"] == {"Fn::Sub": "${PredictFunction.Arn}:*"}
    assert allowed["ReadItsRevision"]["Action"] == "codedeploy:GetApplicationRevision"
    assert allowed["ReadItsRevision"]["Resource"]["Fn::Sub"][0].endswith(":application:${Application}")
    others = {"ReadTheAlias", "WriteTheirOwnLog"}
    assert others == allowed.keys() - {"ReadAndReportThisDeployment", "ReadItsRevision", "AskAnyVersion"}


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_function_has_its_log_and_its_architecture(mode: dict[str, str]) -> None:
    resources = stack(**mode, Architecture="arm64", LogRetentionDays="7")
    for name in of_type(resources, "AWS::Lambda::Function"):
        function = properties(resources, name)
        group = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert properties(resources, group)["RetentionInDays"] == "7"
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert len(function["FunctionName"]) <= 64


def test_hooks_are_killed_only_after_their_own_deadline() -> None:
    resources = stack()
    for hook in ("PreTrafficHook", "PostTrafficHook"):
        assert CHECK_SECONDS + REPORT_SECONDS < properties(resources, hook)["Timeout"] <= 60


def test_hooks_have_the_settings_that_they_read() -> None:
    read = set(re.findall(r'environ\["(\w+)"\]', hook_sources()))
    resources = stack(LatencyBudgetMs="250")
    for hook in ("PreTrafficHook", "PostTrafficHook"):
        variables = properties(resources, hook)["Environment"]["Variables"]
        assert (variables.keys(), variables["LATENCY_BUDGET_MS"]) == (read, "250")


def test_hooks_may_make_the_calls_that_they_make_and_no_other() -> None:
    actions = [entry["Action"] for entry in statements(stack(), "HookRole").values()]
    allowed = {name for action in actions for name in (action if isinstance(action, list) else [action])}
    made = {action for call, action in CALLS.items() if f".{call}(" in hook_sources()}
    assert made == {action for action in allowed if not action.startswith("logs:")}


# Calls of boto3's clients, and the action that each needs.
CALLS = {
    "get_deployment": "codedeploy:GetDeployment",
    "get_application_revision": "codedeploy:GetApplicationRevision",
    "put_lifecycle_event_hook_execution_status": "codedeploy:PutLifecycleEventHookExecutionStatus",
    "invoke": "lambda:InvokeFunction",
    "get_alias": "lambda:GetAlias",
}


def hook_sources() -> str:
    return "".join(path.read_text() for path in sorted((FUNCTIONS / "aws" / "hooks").glob("*.py")))
