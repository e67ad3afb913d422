"""The stack for Managed Instances: the function, its capacity, and what each may do."""

from __future__ import annotations

from templates import MANAGED_INSTANCES, Resources, properties, statements
from translation import deployed, translate

GIVEN = {"StoreUrl": "s3://models/team", "SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def stack(**given: str) -> Resources:
    values = GIVEN | given
    resources: Resources = deployed(translate(MANAGED_INSTANCES, values), values, "steady")["Resources"]
    return resources


def test_a_version_runs_on_the_stacks_own_capacity_with_the_ratio_and_concurrency_that_are_given() -> None:
    made = stack(Concurrency="12", MemoryGiBPerProcessor="4", MinEnvironments="2", MaxEnvironments="5")
    function = properties(made, "PredictFunction")
    config = function["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"]
    assert config.pop("CapacityProviderArn") == {"Fn::GetAtt": ["Capacity", "Arn"]}
    assert {name: int(value) for name, value in config.items()} == {
        "ExecutionEnvironmentMemoryGiBPerVCpu": 4,
        "PerExecutionEnvironmentMaxConcurrency": 12,
    }
    assert "VpcConfig" not in function  # the capacity has it
    assert [name for name, one in made.items() if one["Type"] == "AWS::Lambda::Alias"] == ["PredictFunctionAliaslive"]
    assert {int(value) for value in function["FunctionScalingConfig"].values()} == {2, 5}


def test_the_function_reads_the_model_alone_and_lambda_alone_manages_the_instances() -> None:
    found = {name: (one["Action"], one["Resource"]) for name, one in statements(stack(), "PredictRole").items()}
    assert found.keys() == {"WriteTheLog", "ReadTheModel"}
    assert found["ReadTheModel"] == ("s3:GetObject", "arn:aws:s3:::models/team/*")
    assert statements(stack(StoreKeyArn=KEY), "PredictRole")["UseTheKey"]["Resource"] == KEY
    operator = properties(stack(), "OperatorRole")
    assert operator["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert operator["ManagedPolicyArns"] == ["arn:aws:iam::aws:policy/AWSLambdaManagedEC2ResourceOperator"]
