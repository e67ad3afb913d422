"""Invokes the function on AWS: asks what it serves, which no HTTP caller can, and sends it golden samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.codec.golden_requests import GoldenRequest, compare_samples
from pilotlight.model.golden import Golden
from pilotlight.model.lock import Description
from pilotlight_cli.aws.calls import AwsError, calling
from pilotlight_cli.local.events import HttpRequest, http_api_event

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ALIAS = "live"

_DESCRIBE = {"pilotlight": "describe"}


@dataclass(frozen=True, slots=True)
class Served:
    """What a version of the function reports: its number, its release digest, the SHA-256 of its model.lock.

    `model` is NAME:VERSION, or empty if the function does not say.
    """

    version: str
    release: str
    lock: str
    model: str = ""


def read_served(functions: LambdaClient, function: str, qualifier: str = ALIAS) -> Served:
    """Return what a version or an alias serves. Raise AwsError if it does not say."""
    description = _invoke(functions, function, qualifier, _DESCRIBE)
    try:
        facts = [str(description[name]) for name in ("function_version", "release", "lock")]
        match description.get("model"):
            case {"name": name, "version": version}:
                facts.append(f"{name}:{version}")
        return Served(*facts)
    except (KeyError, TypeError):
        raise AwsError(
            f"{function}:{qualifier} returned {_shown(description)}, expected a description of its version"
        ) from None


def smoke(
    functions: LambdaClient,
    function: str,
    model: Description,
    golden: Golden,
    qualifier: str = ALIAS,
) -> list[str]:
    """Send the golden samples as HTTP events; return a message for each problem. Raise AwsError if a call fails."""

    def send(request: GoldenRequest) -> tuple[int, object]:
        body = json.dumps(request.body).encode()
        headers = (("Content-Type", "application/json"), ("User-Agent", "pilotlight"))
        event = http_api_event(HttpRequest("POST", request.path, headers, body))
        return _http_response(_invoke(functions, function, qualifier, event))

    return [result.message for result in compare_samples(model, golden, send) if result.problem]


def _http_response(result: object) -> tuple[int, object]:
    """Return the status and the document, or the text, of an HTTP response that a function returned."""
    match result:
        case {"statusCode": int(status), "body": str(body)}:
            return status, _document(body)
    return 0, f"the function returned {_shown(result)}"


def _document(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _invoke(functions: LambdaClient, function: str, qualifier: str, event: object) -> Any:  # noqa: ANN401 - JSON both ways
    with calling(f"invoking {function}:{qualifier}", "lambda:InvokeFunction"):
        response = functions.invoke(FunctionName=function, Qualifier=qualifier, Payload=json.dumps(event).encode())
        payload = response["Payload"].read()
    result = _document(payload.decode(errors="replace"))
    if response.get("FunctionError"):
        raise AwsError(f"{function}:{qualifier} failed: {_shown(result)}")
    return result


def _shown(result: object) -> str:
    return result[:300] if isinstance(result, str) else json.dumps(result)[:300]
