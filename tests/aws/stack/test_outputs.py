from __future__ import annotations

from typing import Any

import pytest

from pilotlight_cli.assets import ROOT
from templates import NESTED, TEMPLATE, UNFOLDED
from translation import deployed, translate

NAMES = ["ApiUrl", "ApiId", "FunctionName", "FunctionArn", "AliasArn", "Store", "AlarmTopic", "Dashboard"]


def outputs(**given: str) -> dict[str, Any]:
    made = deployed(translate(TEMPLATE, given), given)["Outputs"]
    return {name: output["Value"] for name, output in made.items()}


def test_a_person_finds_what_they_need() -> None:
    found = outputs(StoreUrl="s3://models/team")
    assert list(found) == NAMES
    assert found["ApiUrl"] == {"Fn::GetAtt": ["HttpApi", "ApiEndpoint"]}
    assert found["ApiId"] == {"Ref": "HttpApi"}
    assert found["AliasArn"] == {"Ref": "PredictFunctionAliaslive"}
    assert found["Store"] == "s3://models/team"


# Their names are those within an API, a function or a target, which have names of the stack's own.
WITHIN_OTHERS = ("Stage", "Authorizer", "Alias", "ScalingPolicy")


def names(stack: str) -> set[tuple[str, str]]:
    """Return the names that a stack gives its resources, by their type."""
    values = {"Authorization": "api-key", "StartMode": "provisioned"}
    resources = deployed(translate(UNFOLDED, values), values, stack)["Resources"]
    return {
        (resource["Type"], str(value))
        for resource in resources.values()
        for key, value in resource.get("Properties", {}).items()
        if key.endswith("Name") and resource["Type"].endswith(key.removesuffix("Name"))
        if not resource["Type"].endswith(WITHIN_OTHERS)
    }


def test_the_stacks_of_several_models_in_one_account_share_no_name() -> None:
    first, second = names("fraud"), names("fraud-eu")
    assert not first & second
    assert {type_.rpartition("::")[2] for type_, _ in first} >= {"Function", "LogGroup", "Alarm", "Topic"}
    assert len(first) == len(second) >= 14


@pytest.mark.parametrize("file", ["template.yaml", "bootstrap.yaml", *NESTED])
def test_cloudformation_takes_a_template_without_a_bucket_for_it(file: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""
    assert (ROOT / file).stat().st_size <= 51_200
