from __future__ import annotations

from typing import Any

import pytest

from pilotlight_cli.assets import ROOT
from templates import NESTED, TEMPLATE
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


@pytest.mark.parametrize("file", ["template.yaml", "bootstrap.yaml", *NESTED])
def test_cloudformation_takes_a_template_without_a_bucket_for_it(file: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""
    assert (ROOT / file).stat().st_size <= 51_200
