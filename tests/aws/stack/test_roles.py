"""What the functions may do, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from templates import AUTHORIZATIONS, MODES, judge, of_type, properties, refused, stack, statements

ROLE = "AWS::IAM::Role"
KEY = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


def allowed(role: str, **given: str) -> dict[str, tuple[Any, Any]]:
    """Return the actions and resources of a role's statements, by name."""
    return {name: (entry["Action"], entry["Resource"]) for name, entry in statements(stack(**given), role).items()}


def log(group: str) -> tuple[list[str], dict[str, list[str]]]:
    return ["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": [group, "Arn"]}


def test_the_function_reads_the_store_and_writes_its_log() -> None:
    assert allowed("PredictRole") == {
        "ReadTheModelStore": ("s3:GetObject", "arn:aws:s3:::pilotlight-models-123456789012-us-east-1/*"),
        "WriteItsOwnLog": log("PredictLogGroup"),
    }


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("s3://models", "arn:aws:s3:::models/*"),
        ("s3://models/team", "arn:aws:s3:::models/team/*"),
        ("s3://models/team/blue/2026", "arn:aws:s3:::models/team/blue/2026/*"),
    ],
)
def test_the_function_reads_exactly_the_stores_prefix(url: str, resource: str) -> None:
    assert allowed("PredictRole", StoreUrl=url)["ReadTheModelStore"] == ("s3:GetObject", resource)


@pytest.mark.parametrize(
    "url",
    ["s3://models/*", "s3://models/team/", "s3://models/${aws:username}", "s3://models/te?m", "gs://models", "s3://"],
)
def test_no_url_makes_the_policy_wider_than_it_looks(url: str) -> None:
    (sentence,) = refused(StoreUrl=url)
    assert "must be s3://bucket or s3://bucket/prefix without a trailing slash" in sentence


def test_the_function_decrypts_by_the_stores_key_through_s3_alone() -> None:
    statement = statements(stack(StoreKeyArn=KEY), "PredictRole")["DecryptTheModelStore"]
    assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", KEY)
    assert statement["Condition"] == {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}


def test_the_function_sends_traces_only_when_tracing_is_on() -> None:
    traced = stack(Tracing="true")
    assert statements(traced, "PredictRole")["SendTraces"]["Action"] == [
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    ]
    assert properties(traced, "PredictFunction")["TracingConfig"] == {"Mode": "Active"}
    assert properties(stack(), "PredictFunction")["TracingConfig"] == {"Mode": "PassThrough"}


@pytest.mark.parametrize(
    ("given", "path"), [({}, "/pilotlight/pilotlight-dev/api-keys"), ({"ApiKeysPath": "/team/keys"}, "/team/keys")]
)
def test_the_authorizer_reads_the_keys_hashes_below_their_path(given: dict[str, str], path: str) -> None:
    mode = {**AUTHORIZATIONS["api-key"], **given}
    assert allowed("AuthorizerRole", **mode) == {
        "ReadTheKeysHashes": ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:123456789012:parameter{path}/*"),
        "WriteItsOwnLog": log("AuthorizerLogGroup"),
    }
    assert properties(stack(**mode), "AuthorizerFunction")["Environment"]["Variables"] == {"API_KEYS_PATH": path}


def test_the_judge_reads_metrics_and_says_its_verdict_in_the_functions_namespace() -> None:
    entries = statements(judge(MetricsNamespace="Elsewhere"), "JudgeRole")
    function = "arn:aws:lambda:us-east-1:123456789012:function:pilotlight-dev-predict"
    assert {name: (entry["Action"], entry["Resource"]) for name, entry in entries.items()} == {
        "ReadTheAlias": ("lambda:GetAlias", [function, f"{function}:live"]),
        "ReadMetrics": ("cloudwatch:GetMetricData", "*"),
        "ReadTheAlarms": ("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*"),
        "SayTheVerdict": ("cloudwatch:PutMetricData", "*"),
        "WriteItsOwnLog": log("JudgeLogGroup"),
    }
    assert entries["SayTheVerdict"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Elsewhere"}}


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_function_has_a_role_of_ours(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    for name in of_type(resources, "AWS::Lambda::Function"):
        (role, attribute) = properties(resources, name)["Role"]["Fn::GetAtt"]
        assert (resources[role]["Type"], attribute) == (ROLE, "Arn")
        assert "ManagedPolicyArns" not in properties(resources, role)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_role_has_the_boundary_that_the_account_demands(mode: dict[str, str]) -> None:
    bound, free = stack(**mode, PermissionsBoundary=BOUNDARY), stack(**mode)
    assert {properties(bound, role)["PermissionsBoundary"] for role in of_type(bound, ROLE)} == {BOUNDARY}
    assert not any("PermissionsBoundary" in properties(free, role) for role in of_type(free, ROLE))


def test_the_store_that_is_left_stays_readable_for_the_versions_before() -> None:
    given = {"StoreUrl": "s3://new/models", "FormerStoreUrl": "s3://old/team/models", "FormerStoreKeyArn": KEY}
    allowed_now = statements(stack(**given), "PredictRole")
    assert allowed_now["ReadTheModelStore"]["Resource"] == "arn:aws:s3:::new/models/*"
    assert allowed_now["ReadTheFormerStore"]["Resource"] == "arn:aws:s3:::old/team/models/*"
    assert allowed_now["DecryptTheFormerStore"]["Resource"] == KEY
    assert "ReadTheFormerStore" not in statements(stack(StoreUrl="s3://new/models"), "PredictRole")


def test_a_key_without_the_store_that_it_was_for_is_refused() -> None:
    (sentence,) = refused(FormerStoreKeyArn=KEY)
    assert sentence.startswith("FormerStoreKeyArn is the key of FormerStoreUrl")


@pytest.mark.parametrize("kind", ["sqs", "sns"])
def test_a_failed_asynchronous_invocation_goes_where_the_role_may_send_it(kind: str) -> None:
    arn = f"arn:aws:{kind}:us-east-1:123456789012:failed"
    resources = stack(FailureDestinationArn=arn)
    config = properties(resources, "PredictInvokeConfig")
    assert (config["FunctionName"], config["Qualifier"]) == ({"Ref": "PredictFunction"}, "live")
    assert config["DestinationConfig"] == {"OnFailure": {"Destination": arn}}
    sending = statements(resources, "PredictRole")["PassOnFailedInvocations"]
    assert f"{kind}:{'SendMessage' if kind == 'sqs' else 'Publish'}" in sending["Action"]
    assert sending["Resource"] == arn
    assert of_type(stack(), "AWS::Lambda::EventInvokeConfig") == []


def test_the_function_alone_is_in_the_vpc_and_its_role_may_connect_it() -> None:
    resources = stack(SubnetIds="subnet-0a,subnet-0b", SecurityGroupIds="sg-0c")
    inside = {
        name: resources[name]["Properties"].get("VpcConfig") for name in of_type(resources, "AWS::Lambda::Function")
    }
    assert inside.pop("PredictFunction") == {"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0c"]}
    assert list(inside.values()) == [None, None]
    assert "ec2:CreateNetworkInterface" in statements(resources, "PredictRole")["ConnectToTheVpc"]["Action"]
    for half in ({"SubnetIds": "subnet-0a"}, {"SecurityGroupIds": "sg-0c"}):
        (sentence,) = refused(**half)
        assert "set both, or leave both empty" in sentence


def test_concurrency_is_reserved_and_policies_attached_where_they_are_given() -> None:
    arn = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
    resources = stack(ReservedConcurrency="20", ManagedPolicies=f"{arn},{arn}2")
    assert properties(resources, "PredictFunction")["ReservedConcurrentExecutions"] == "20"
    assert properties(resources, "PredictRole")["ManagedPolicyArns"] == [arn, f"{arn}2"]
    assert "ReservedConcurrentExecutions" not in properties(stack(), "PredictFunction")
    assert "ManagedPolicyArns" not in properties(stack(), "PredictRole")


@pytest.mark.parametrize("closed", ["true", "false"])
def test_the_apis_own_url_is_closed_where_that_is_asked_for(closed: str) -> None:
    assert properties(stack(DisableDefaultEndpoint=closed), "HttpApi")["DisableExecuteApiEndpoint"] == closed
