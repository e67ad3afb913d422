"""Who may call: the API's routes and authorizers, and who may invoke the functions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.http import cors as function_cors
from templates import AUTHORIZATIONS, MODES, of_type, properties, refused, stack, the, waits_for

ROUTE = "AWS::ApiGatewayV2::Route"
AUTHORIZER = "AWS::ApiGatewayV2::Authorizer"
PERMISSION = "AWS::Lambda::Permission"
API = "arn:aws:execute-api:us-east-1:123456789012:${HttpApi}"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_everything_goes_to_the_alias(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    alias = the(resources, "AWS::Lambda::Alias")
    integration = properties(resources, the(resources, "AWS::ApiGatewayV2::Integration"))
    assert integration["IntegrationUri"]["Fn::Sub"].endswith(":function:${PredictFunction}:live")
    assert alias in waits_for(resources, "HttpIntegration")
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    assert properties(resources, "ApiPermission")["FunctionName"] == {"Ref": alias}


def test_the_api_waits_as_long_as_the_function_may_take() -> None:
    assert properties(stack(), "HttpIntegration")["TimeoutInMillis"] == 30_000
    assert refused(TimeoutSeconds="31") == ["TimeoutSeconds is 31; expected 1 to 30"]


@pytest.mark.parametrize(
    ("authorization", "type_", "authorizer"),
    [
        ("iam", "AWS_IAM", None),
        ("jwt", "JWT", {"Ref": "JwtAuthorizer"}),
        ("api-key", "CUSTOM", {"Ref": "ApiKeyAuthorizer"}),
        ("open-to-everyone", "NONE", None),
    ],
)
def test_a_mode_of_authorization_has_its_own_authorizer_and_no_other(
    authorization: str, type_: str, authorizer: dict[str, str] | None
) -> None:
    resources = stack(**AUTHORIZATIONS[authorization])
    (name,) = of_type(resources, ROUTE)
    route = properties(resources, name)
    assert (route["RouteKey"], route["AuthorizationType"]) == ("$default", type_)
    assert route.get("AuthorizerId") == authorizer
    assert of_type(resources, AUTHORIZER) == ([authorizer["Ref"]] if authorizer else [])


def test_callers_sign_their_requests_unless_a_parameter_says_otherwise() -> None:
    assert properties(stack(), "DefaultRoute")["AuthorizationType"] == "AWS_IAM"


@pytest.mark.parametrize("near", ["none", "open", "NONE", "OPEN-TO-EVERYONE", ""])
def test_an_open_api_is_asked_for_in_so_many_words(near: str) -> None:
    assert refused(Authorization=near)


def test_tokens_are_held_against_the_issuer_and_every_audience() -> None:
    authorizer = properties(stack(**AUTHORIZATIONS["jwt"]), "JwtAuthorizer")
    assert authorizer["AuthorizerType"] == "JWT"
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]
    assert authorizer["JwtConfiguration"] == {"Issuer": "https://issuer.example.com/", "Audience": ["models", "other"]}


def test_api_keys_are_judged_by_the_authorizer_function() -> None:
    resources = stack(**AUTHORIZATIONS["api-key"])
    authorizer = properties(resources, "ApiKeyAuthorizer")
    assert authorizer["AuthorizerUri"]["Fn::Sub"].endswith(
        ":lambda:path/2015-03-31/functions/${AuthorizerFunction.Arn}/invocations"
    )
    assert authorizer["IdentitySource"] == ["$request.header.x-api-key"]
    assert (authorizer["AuthorizerPayloadFormatVersion"], authorizer["EnableSimpleResponses"]) == ("2.0", True)
    assert properties(resources, "AuthorizerFunction")["FunctionName"] == "pilotlight-dev-authorizer"


@pytest.mark.parametrize("authorization", ["iam", "jwt", "open-to-everyone"])
def test_nothing_of_the_api_keys_is_there_without_them(authorization: str) -> None:
    assert not [name for name in stack(**AUTHORIZATIONS[authorization]) if name.startswith("Authorizer")]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_only_this_api_invokes_and_only_by_its_own_route(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    for name in of_type(resources, PERMISSION):
        permission = properties(resources, name)
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission["SourceArn"]["Fn::Sub"].startswith(f"{API}/")
    assert properties(resources, "ApiPermission")["SourceArn"] == {"Fn::Sub": f"{API}/*/$default"}


def test_the_authorizer_function_is_invoked_by_its_authorizer_alone() -> None:
    permission = properties(stack(**AUTHORIZATIONS["api-key"]), "AuthorizerPermission")
    assert permission["FunctionName"] == {"Ref": "AuthorizerFunction"}
    assert permission["SourceArn"] == {"Fn::Sub": f"{API}/authorizers/${{ApiKeyAuthorizer}}"}


def cors(**given: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = properties(stack(**given), "HttpApi").get("CorsConfiguration")
    return found


def test_browsers_are_let_in_only_from_the_origins_that_are_named() -> None:
    assert cors() is None
    allowed = cors(CorsOrigins="https://example.com,https://example.org:8443")
    assert allowed is not None
    assert allowed["AllowOrigins"] == ["https://example.com", "https://example.org:8443"]
    # What the function itself allows and exposes, where it has no API in front.
    assert set(function_cors._ALLOWED.split(", ")) <= set(allowed["AllowHeaders"])
    assert allowed["ExposeHeaders"] == function_cors._EXPOSED.split(", ")
    assert "AllowCredentials" not in allowed


@pytest.mark.parametrize("origins", ["example.com", "https://example.com/", "https://a.example, https://b.example"])
def test_an_origin_that_no_browser_sends_is_refused(origins: str) -> None:
    (sentence,) = refused(CorsOrigins=origins)
    assert "must be origins like https://example.com" in sentence


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
def test_preflight_requests_pass_every_authorization(authorization: str) -> None:
    resources = stack(**AUTHORIZATIONS[authorization], CorsOrigins="https://example.com")
    routes = {"PreflightRoute": "OPTIONS /{proxy+}", "RootPreflightRoute": "OPTIONS /"}
    assert {*of_type(resources, ROUTE)} == {"DefaultRoute", *routes}
    for name, key in routes.items():
        route = properties(resources, name)
        assert (route["RouteKey"], route["AuthorizationType"]) == (key, "NONE")
        assert "AuthorizerId" not in route
    assert properties(resources, "PreflightPermission")["SourceArn"] == {"Fn::Sub": f"{API}/*/OPTIONS/*"}


def test_without_cors_no_route_goes_around_the_authorizer() -> None:
    assert of_type(stack(), ROUTE) == ["DefaultRoute"]


def test_the_stage_throttles_and_writes_a_line_of_json_for_each_request() -> None:
    stage = properties(stack(ThrottleRate="7", ThrottleBurst="9"), "ApiStage")
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "7", "ThrottlingBurstLimit": "9"}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "status", "path", "authorizer_error", "integration_error"} <= line.keys()
    assert stage["AccessLogSettings"]["DestinationArn"]["Fn::Sub"].endswith(":log-group:${AccessLogGroup}")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"Authorization": "jwt", "JwtAudience": "models"}, "Authorization jwt needs JwtIssuer"),
        ({"Authorization": "jwt", "JwtIssuer": "https://issuer.example.com/"}, "Authorization jwt needs JwtAudience"),
        ({"JwtIssuer": "https://issuer.example.com/"}, "JwtIssuer applies to Authorization jwt only"),
        ({"Authorization": "api-key", "JwtAudience": "a"}, "JwtAudience applies to Authorization jwt only"),
        ({"ApiKeysPath": "/team/keys"}, "ApiKeysPath applies to Authorization api-key only"),
        ({**AUTHORIZATIONS["jwt"], "JwtIssuer": "http://issuer.example.com"}, "must be an https URL"),
        ({**AUTHORIZATIONS["jwt"], "JwtAudience": "models, other"}, "must be names without spaces"),
    ],
)
def test_wrong_combinations_are_refused_with_a_sentence(given: dict[str, str], why: str) -> None:
    (sentence,) = refused(**given)
    assert why in sentence
