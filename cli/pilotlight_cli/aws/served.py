"""Asks the function on AWS what it serves, and sends it its golden samples. No HTTP caller can ask the first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pilotlight.codec.golden_requests import disagreements, to_request
from pilotlight.model.golden import Golden
from pilotlight.model.signature import Signature
from pilotlight_cli.aws.calls import AwsError, calling
from pilotlight_cli.local.events import HttpRequest, http_api_event

ALIAS = "live"

_ASKED = {"pilotlight": "describe"}


@dataclass(frozen=True, slots=True)
class Served:
    """What a version of the function says of itself: its number, its release digest, the SHA-256 of its model.lock."""

    version: str
    release: str
    lock: str


def read_served(functions: Any, function: str, qualifier: str = ALIAS) -> Served:  # noqa: ANN401 - boto3's client
    """Ask a version or an alias what it serves. Raises AwsError."""
    answer = _invoke(functions, function, qualifier, _ASKED)
    try:
        return Served(*(str(answer[name]) for name in ("function_version", "release", "lock")))
    except (KeyError, TypeError):
        raise AwsError(f"{function}:{qualifier} answered {_shown(answer)} when it was asked what it serves") from None


def smoke(
    functions: Any,  # noqa: ANN401 - boto3's client
    function: str,
    signature: Signature,
    golden: Golden,
    qualifier: str = ALIAS,
) -> list[str]:
    """Send the golden samples as HTTP events; a sentence for each answer that is not as published. Raises AwsError."""
    problems = []
    for number, sample in enumerate(golden.samples, 1):
        request = to_request(signature, sample)
        if request is None:  # it holds NaN or an infinity, which JSON cannot write
            continue
        body = json.dumps(request.body).encode()
        headers = (("Content-Type", "application/json"), ("User-Agent", "pilotlight"))
        event = http_api_event(HttpRequest("POST", request.path, headers, body))
        reply = _invoke(functions, function, qualifier, event)
        found = _answer(reply)
        if isinstance(found, str):
            problems.append(f"sample {number}: {found}")
        else:
            problems += [f"sample {number}: {text}" for text in disagreements(signature, golden, sample, found)]
    return problems


def _answer(reply: Any) -> dict[str, Any] | str:  # noqa: ANN401 - a JSON document
    """The document in an HTTP reply, or a sentence about another reply."""
    match reply:
        case {"statusCode": 200, "body": str(body)}:
            return _document(body)
        case {"statusCode": status, "body": body}:
            return f"it answered {status}: {body}"
    return f"it answered {_shown(reply)}, which is no HTTP reply"


def _document(body: str) -> dict[str, Any] | str:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else f"it answered {_shown(body)!r}, which is no JSON object"


def _invoke(functions: Any, function: str, qualifier: str, event: object) -> Any:  # noqa: ANN401 - JSON both ways
    with calling(f"invoking {function}:{qualifier}", "lambda:InvokeFunction"):
        reply = functions.invoke(FunctionName=function, Qualifier=qualifier, Payload=json.dumps(event).encode())
        payload = reply["Payload"].read()
    try:
        answer = json.loads(payload)
    except ValueError:
        answer = payload.decode(errors="replace")
    if "FunctionError" in reply:
        raise AwsError(f"{function}:{qualifier} failed: {_shown(answer)}")
    return answer


def _shown(answer: object) -> str:
    return answer[:300] if isinstance(answer, str) else json.dumps(answer)[:300]
