"""What has to be there before the first stack: the store's bucket, and who may deploy from GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pilotlight_cli.aws.template import effective_values, refusals
from templates import (
    BOOTSTRAP,
    SOURCES,
    TEMPLATE,
    Resources,
    bootstrap,
    judge,
    monitoring,
    of_type,
    properties,
    stack,
    streams,
    the,
)

BUCKET = "AWS::S3::Bucket"
BUCKET_POLICY = "AWS::S3::BucketPolicy"
GITHUB = {"GitHubRepository": "someone/pilotlight"}
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
TAG = "${aws:PrincipalTag/pilotlight-env}"
LONGEST = {**GITHUB, "UseKmsKey": "true", "PermissionsBoundary": BOUNDARY, "Project": "a" * 32}
VPC = {"SubnetIds": "subnet-0a1b,subnet-2c3d", "SecurityGroupIds": "sg-4e5f"}
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"
STACKS = f"pilotlight-*{TAG}"


def test_the_function_finds_the_bucket_without_being_told() -> None:
    name = properties(bootstrap(), "StoreBucket")["BucketName"]
    environment = properties(stack(), "PredictFunction")["Environment"]["Variables"]
    assert environment["PILOTLIGHT_STORE"] == f"s3://{name}"


@pytest.mark.parametrize("name", ["StoreBucket", "LogBucket"])
def test_buckets_are_private_encrypted_and_owned_by_the_account(name: str) -> None:
    bucket = properties(bootstrap(), name)
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def test_models_are_versioned_and_their_readers_logged() -> None:
    bucket = properties(bootstrap(), "StoreBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["LoggingConfiguration"] == {"DestinationBucketName": {"Ref": "LogBucket"}, "LogFilePrefix": "models/"}
    lifecycle = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert lifecycle["noncurrent"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert lifecycle["unfinished"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize("given", [{}, {"UseKmsKey": "true", **GITHUB}], ids=str)
def test_nothing_that_models_need_goes_with_the_stack(given: dict[str, str]) -> None:
    resources = bootstrap(**given)
    kept = (BUCKET, BUCKET_POLICY, "AWS::KMS::Key", "AWS::IAM::OIDCProvider")
    for name in (name for type_ in kept for name in of_type(resources, type_)):
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"  # nothing is in it where creating it failed
        assert resources[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", ["Store", "Log"])
def test_buckets_answer_nobody_without_tls(name: str) -> None:
    policy = properties(bootstrap(), f"{name}BucketPolicy")
    assert policy["Bucket"] == {"Ref": f"{name}Bucket"}
    (statement,) = (entry for entry in policy["PolicyDocument"]["Statement"] if entry["Sid"] == "NothingWithoutTls")
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": [f"{name}Bucket", "Arn"]}, {"Fn::Sub": f"${{{name}Bucket.Arn}}/*"}]


def test_only_s3_writes_the_log_and_only_that_of_the_store() -> None:
    statements = properties(bootstrap(), "LogBucketPolicy")["PolicyDocument"]["Statement"]
    (allowed,) = (entry for entry in statements if entry["Effect"] == "Allow")
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "logging.s3.amazonaws.com"}, "s3:PutObject")
    name = properties(bootstrap(), "StoreBucket")["BucketName"]
    assert allowed["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{name}"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }


def test_a_key_of_ones_own_encrypts_the_store_and_rotates() -> None:
    resources = bootstrap(UseKmsKey="true")
    (rule,) = properties(resources, "StoreBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Fn::GetAtt": ["StoreKey", "Arn"]},
    }
    assert properties(resources, "StoreKey")["EnableKeyRotation"] is True
    assert of_type(bootstrap(), "AWS::KMS::Key") == []


def test_a_bucket_that_is_there_already_is_left_as_it_is() -> None:
    resources = bootstrap(ExistingBucket="ours", **GITHUB)
    assert of_type(resources, BUCKET) == of_type(resources, BUCKET_POLICY) == []
    assert actions(resources, "DeployAccountPolicy")["Models"][1] == ["arn:aws:s3:::ours/*"]


def test_a_key_for_a_bucket_that_is_there_already_is_refused() -> None:
    values = effective_values(BOOTSTRAP, {"ExistingBucket": "ours", "UseKmsKey": "true"})
    (sentence,) = refusals(BOOTSTRAP, values)
    assert "an existing one keeps its encryption" in sentence


# ---- Deploying from GitHub


def actions(resources: Resources, policy: str) -> dict[str, tuple[list[str], list[Any]]]:
    """Return the actions and resources that a policy allows, by its statements' names."""
    entries = properties(resources, policy)["PolicyDocument"]["Statement"]
    return {
        entry["Sid"]: (as_list(entry["Action"]), as_list(entry["Resource"]))
        for entry in entries
        if entry["Effect"] == "Allow"
    }


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_without_a_repository_nobody_deploys_from_github() -> None:
    resources = bootstrap()
    assert not [name for name in resources if resources[name]["Type"].startswith("AWS::IAM::")]


@pytest.mark.parametrize(("role", "environment"), [("DeployRoleStaging", "staging"), ("DeployRoleProd", "prod")])
@pytest.mark.parametrize(
    ("ids", "repositories"),
    [({}, ["someone/pilotlight"]), ({"GitHubIds": "12/345"}, ["someone/pilotlight", "someone@12/pilotlight@345"])],
)
def test_a_role_is_for_one_environment_of_one_repository(
    ids: dict[str, str], repositories: list[str], role: str, environment: str
) -> None:
    """GitHub's tokens have the ids too since July 15, 2026, for repositories made or renamed after that."""
    made = properties(bootstrap(**GITHUB, **ids), role)
    (statement,) = made["AssumeRolePolicyDocument"]["Statement"]
    issuer = "token.actions.githubusercontent.com"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"}
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": [f"repo:{repository}:environment:{environment}" for repository in repositories],
        }
    }
    assert made["Tags"] == [{"Key": "pilotlight-env", "Value": environment}]


def test_a_provider_that_the_account_has_already_is_not_made_again() -> None:
    assert of_type(bootstrap(**GITHUB), "AWS::IAM::OIDCProvider") == ["OidcProvider"]
    assert of_type(bootstrap(**GITHUB, CreateOidcProvider="false"), "AWS::IAM::OIDCProvider") == []


def test_a_role_reaches_only_what_its_stack_has_by_name() -> None:
    for _, resources in actions(bootstrap(**GITHUB), "DeployPolicy").values():
        assert all(STACKS in resource for resource in resources)


REACHED = {
    "tumours-staging": True,
    "tumours-second-staging": True,
    "tumours-prod": False,
    "tumours-second-prod": False,
    "others-staging": False,
}


@pytest.mark.parametrize("name", REACHED)
def test_a_role_reaches_the_stacks_of_its_project_in_its_environment(name: str) -> None:
    _, patterns = actions(bootstrap(**GITHUB, Project="tumours"), "DeployPolicy")["Stack"]
    nested = (
        "Judge-1A2B3C",
        "Monitoring-1A2B3C",
        "ReleaseAlarms-1A2B3C",
        "Streams-1A2B3C",
        "Streams-1A2B3C-ReleaseAlarms-4D5E6F",
    )
    for stack_name in (name, *(f"{name}-{made}" for made in nested)):
        arn = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{stack_name}/0a1b2c"
        assert any(fnmatchcase(arn, pattern.replace(TAG, "staging")) for pattern in patterns) == REACHED[name]


# The ARN of a resource by its type; a name that CloudFormation makes up begins with the stack's and the logical id.
ARNS = {
    "AWS::CloudWatch::Alarm": "cloudwatch:us-east-1:123456789012:alarm:{AlarmName}",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:us-east-1:123456789012:alarm:{AlarmName}",
    "AWS::CloudWatch::Dashboard": "cloudwatch::123456789012:dashboard/{DashboardName}",
    "AWS::CodeDeploy::Application": "codedeploy:us-east-1:123456789012:application:{made_up}",
    "AWS::Events::Rule": "events:us-east-1:123456789012:rule/{Name}",
    "AWS::IAM::Role": "iam::123456789012:role/{made_up}",
    "AWS::Lambda::Function": "lambda:us-east-1:123456789012:function:{FunctionName}",
    "AWS::Logs::LogGroup": "logs:us-east-1:123456789012:log-group:{LogGroupName}",
    "AWS::SNS::Topic": "sns:us-east-1:123456789012:{TopicName}",
    "AWS::SQS::Queue": "sqs:us-east-1:123456789012:{QueueName}",
}


def arns() -> Iterator[str]:
    """Yield the ARNs of what a stack has, as far as they begin with a name."""
    given = {"StartMode": "provisioned", "Authorization": "api-key"}
    made = stack(**given) | judge(**given) | monitoring(**given) | streams(**SOURCES["create"])
    for logical_id, resource in made.items():
        if resource["Type"] in ARNS:
            names = {key: name["Fn::Sub"] if isinstance(name, dict) else name for key, name in named(resource)}
            yield f"arn:aws:{ARNS[resource['Type']].format(**names, made_up=f'pilotlight-dev-{logical_id}-1A2B3C')}"


def named(resource: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in resource["Properties"].items() if key.endswith("Name")]


def test_a_role_may_make_everything_that_its_stack_names() -> None:
    patterns = [
        resource.replace(TAG, "dev")
        for _, resources in actions(bootstrap(**GITHUB), "DeployPolicy").values()
        for resource in resources
    ]
    found = list(arns())
    assert len(found) > 15
    assert [arn for arn in found if not any(fnmatchcase(arn, pattern) for pattern in patterns)] == []


@pytest.mark.parametrize("role", ["DeployRoleStaging", "DeployRoleProd"])
def test_no_role_deletes_a_stack_but_the_nested_ones_that_a_rollback_deletes(role: str) -> None:
    resources = bootstrap(**GITHUB)
    (denied,) = (
        entry
        for policy in properties(resources, role)["ManagedPolicyArns"]
        for entry in properties(resources, policy["Ref"])["PolicyDocument"]["Statement"]
        if entry["Effect"] == "Deny"
    )
    assert denied["Action"] == "cloudformation:DeleteStack"
    nested = [name for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::CloudFormation::Stack"]
    assert sorted(denied["NotResource"]) == sorted(
        f"arn:aws:cloudformation:*:123456789012:stack/pilotlight-*-{name}-*/*" for name in nested
    )
    prod = "arn:aws:cloudformation:us-east-1:123456789012:stack/pilotlight-prod/0a1b2c"
    assert not any(fnmatchcase(prod, pattern) for pattern in denied["NotResource"])


def test_no_role_is_made_without_a_boundary() -> None:
    for given, boundary in (({"PermissionsBoundary": BOUNDARY}, BOUNDARY), ({}, {"Ref": "RolesBoundary"})):
        entries = properties(bootstrap(**GITHUB, **given), "DeployPolicy")["PolicyDocument"]["Statement"]
        (making,) = (entry for entry in entries if "iam:CreateRole" in entry["Action"])
        assert making["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


@pytest.mark.parametrize(
    "mode", [{"Tracing": "true", "Authorization": "api-key", **VPC, "FailureDestinationArn": QUEUE}], ids=str
)
def test_the_boundary_has_room_for_what_the_stacks_own_roles_may_do(mode: dict[str, str]) -> None:
    allowed = {
        action
        for entry in properties(bootstrap(**GITHUB), "RolesBoundary")["PolicyDocument"]["Statement"]
        for action in ([entry["Action"]] if isinstance(entry["Action"], str) else entry["Action"])
    }
    key = {"StoreKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0"}
    table = {"RecordsResults": "arn:aws:dynamodb:us-east-1:123456789012:table/results"}
    whole = [stack(**mode, **key), judge(**mode), *(streams(**source) for source in SOURCES.values())]
    whole.append(streams(**{**SOURCES["create"], **table}, RecordsObjects="s3://rows"))
    needed = {
        action
        for resources in whole
        for role in of_type(resources, "AWS::IAM::Role")
        for policy in properties(resources, role).get("Policies", [])
        for entry in policy["PolicyDocument"]["Statement"]
        for action in ([entry["Action"]] if isinstance(entry["Action"], str) else entry["Action"])
    }
    assert needed - allowed == set()
    # and no more, but for what AWS's own policy for CodeDeploy has
    assert allowed - needed == {
        "logs:CreateLogGroup",  # by a layer
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    }


def test_roles_are_passed_to_the_services_of_the_stack_alone() -> None:
    entries = properties(bootstrap(**GITHUB), "DeployPolicy")["PolicyDocument"]["Statement"]
    (passing,) = (entry for entry in entries if entry["Action"] == "iam:PassRole")
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "codedeploy.amazonaws.com"]}
    }
    (attaching,) = (entry for entry in entries if entry["Action"] == "iam:AttachRolePolicy")
    own, *of_layers = attaching["Condition"]["ArnEquals"]["iam:PolicyARN"]
    assert [own] == properties(stack(), "CodeDeployRole")["ManagedPolicyArns"]
    assert {arn.rpartition("/")[2] for arn in of_layers} == {
        "AWSXRayDaemonWriteAccess",
        "CloudWatchLambdaInsightsExecutionRolePolicy",
    }


@pytest.mark.parametrize("policy", ["DeployPolicy", "DeployAccountPolicy"])
def test_policies_fit_into_what_iam_takes(policy: str) -> None:
    document = properties(bootstrap(**LONGEST), policy)["PolicyDocument"]
    assert len(json.dumps(document, separators=(",", ":")).replace(" ", "")) < 6144


def test_a_session_outlasts_the_longest_deployment() -> None:
    # Ten steps of ten minutes: CloudFormation works with the credentials of whoever called it.
    resources = bootstrap(**GITHUB)
    for role in ("DeployRoleStaging", "DeployRoleProd"):
        assert properties(resources, role)["MaxSessionDuration"] >= 2 * 60 * 60


def test_the_roles_share_their_policies_and_differ_by_their_tag() -> None:
    resources = bootstrap(**GITHUB)
    staging, prod = (
        properties(resources, role)["ManagedPolicyArns"] for role in ("DeployRoleStaging", "DeployRoleProd")
    )
    assert staging == prod == [{"Ref": "DeployPolicy"}, {"Ref": "DeployAccountPolicy"}]
    assert the(resources, "AWS::IAM::OIDCProvider") == "OidcProvider"


@pytest.mark.parametrize("action", ["cloudwatch:PutCompositeAlarm", "application-autoscaling:DescribeScheduledActions"])
def test_actions_that_name_no_resource_are_allowed_for_all(action: str) -> None:
    entries = properties(bootstrap(**GITHUB), "DeployAccountPolicy")["PolicyDocument"]["Statement"]
    assert [entry["Resource"] for entry in entries if action in entry["Action"]] == ["*"]


def test_a_deploy_role_writes_the_packages_of_its_own_stack_alone() -> None:
    entries = properties(bootstrap(**GITHUB), "DeployAccountPolicy")["PolicyDocument"]["Statement"]
    (packages,) = (entry for entry in entries if entry.get("Sid") == "Packages")
    assert packages["Resource"].endswith(f"aws-sam-cli-managed-default-*/{STACKS}/*")
