from __future__ import annotations

import shlex
from typing import Any

import pytest

from templates import AUTHORIZATIONS, TEMPLATE
from translation import deployed, translate

NAMES = ["ApiUrl", "FunctionName", "FunctionArn", "AliasArn", "Store", "AlarmTopic", "Dashboard", "Curl"]


def outputs(**given: str) -> dict[str, Any]:
    made = deployed(translate(TEMPLATE, given), given)["Outputs"]
    return {name: output["Value"] for name, output in made.items()}


def curl(**given: str) -> list[str]:
    """Return the words of the curl line, in a shell with nothing set."""
    return shlex.split(outputs(**given)["Curl"]["Fn::Sub"])


def test_a_person_finds_what_they_need() -> None:
    found = outputs(StoreUrl="s3://models/team")
    assert list(found) == NAMES
    assert found["ApiUrl"] == {"Fn::GetAtt": ["HttpApi", "ApiEndpoint"]}
    assert found["AliasArn"] == {"Ref": "PredictFunctionAliaslive"}
    assert found["Store"] == "s3://models/team"


@pytest.mark.parametrize("mode", AUTHORIZATIONS)
def test_the_curl_line_asks_whether_the_model_is_ready(mode: str) -> None:
    words = curl(**AUTHORIZATIONS[mode])
    assert (words[0], words[-1]) == ("curl", "${HttpApi.ApiEndpoint}/health/ready")


@pytest.mark.parametrize(
    ("mode", "credentials"),
    [
        ("iam", "aws:amz:us-east-1:execute-api"),
        ("iam", "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"),
        ("iam", "x-amz-security-token: $AWS_SESSION_TOKEN"),
        ("jwt", "authorization: Bearer $TOKEN"),
        ("api-key", "x-api-key: $API_KEY"),
    ],
)
def test_the_curl_line_has_the_credentials_that_are_asked_for(mode: str, credentials: str) -> None:
    assert credentials in curl(**AUTHORIZATIONS[mode])


def test_an_open_api_asks_for_none() -> None:
    assert curl(**AUTHORIZATIONS["open-to-everyone"]) == ["curl", "${HttpApi.ApiEndpoint}/health/ready"]
