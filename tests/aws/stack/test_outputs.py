from __future__ import annotations

from typing import Any

from templates import TEMPLATE
from translation import deployed, translate

NAMES = ["ApiUrl", "FunctionName", "FunctionArn", "AliasArn", "Store", "AlarmTopic", "Dashboard"]


def outputs(**given: str) -> dict[str, Any]:
    made = deployed(translate(TEMPLATE, given), given)["Outputs"]
    return {name: output["Value"] for name, output in made.items()}


def test_a_person_finds_what_they_need() -> None:
    found = outputs(StoreUrl="s3://models/team")
    assert list(found) == NAMES
    assert found["ApiUrl"] == {"Fn::GetAtt": ["HttpApi", "ApiEndpoint"]}
    assert found["AliasArn"] == {"Ref": "PredictFunctionAliaslive"}
    assert found["Store"] == "s3://models/team"
