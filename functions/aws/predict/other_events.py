"""Events of other forms than payload format 2.0, among them HTTP from other front ends: requests in, replies out.

Payload format 1.0, of a REST API, private or not, and of an HTTP API that is set up for it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
Application load balancers: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
VPC Lattice, both versions: https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from http_events import Invocation, ask, claims, decoded, to_reply
from pilotlight.frozen import TYPE_CHECKING
from pilotlight.http.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.service import Service

# Bytes of a reply's body. Lambda takes replies of 6 MB and a load balancer of 1 MB, written as JSON, where text may
# double.
_REST_API_LIMIT = 3_000_000
_LOAD_BALANCER_LIMIT = 500_000


def answer(service: Service, invocation: Invocation, environ: Mapping[str, str]) -> dict[str, Any]:
    """Answer an event of any other form than payload format 2.0. Raises ValueError as `direct_events` does."""
    event = invocation.event
    match event:
        case {"httpMethod": str(), "path": str(), "requestContext": {"elb": _}}:
            return _load_balancer(service, invocation)
        case {"httpMethod": str(), "path": str()}:
            return _format_1(service, invocation, environ)
        case {"method": str(), "raw_path": str()}:
            return _lattice(service, invocation, event["raw_path"])
        case {"method": str(), "path": str(), "version": "2.0"}:
            return _lattice(service, invocation, event["path"])
    import direct_events  # noqa: PLC0415 - no HTTP event needs it

    return direct_events.answer(service, invocation, environ)


def _format_1(service: Service, invocation: Invocation, environ: Mapping[str, str]) -> dict[str, Any]:
    """Answer payload format 1.0.

    An HTTP API decodes base64 in replies and names its version. A REST API decodes it only where its binary media types
    say so, which no event tells: without the setting it gets text.
    """
    event = invocation.event
    decodes = event.get("version") == "1.0" or environ.get("PILOTLIGHT_REST_API_BINARY") == "true"
    limits = {} if decodes else {"is_text_only": True, "reply_limit": _REST_API_LIMIT}
    response = _ask(service, invocation, event["httpMethod"], _path_1(service, event), **limits)
    return to_reply(response, is_text_only=not decodes)


def _path_1(service: Service, event: dict[str, Any]) -> str:
    """Return the path of a route: `path` comes percent-encoded, with a mapping's key and without the stage.

    Where that is no route, the part that `{proxy+}` matched may be one.
    """
    path = decoded(event["path"])
    match event:
        case {"pathParameters": {"proxy": str(proxy)}} if service.find(path) is None:
            part = f"/{decoded(proxy)}"
            before = path.removesuffix(part)
            if before not in ("", path) and "" not in before.split("/")[1:] and service.find(part) is not None:
                return part
    return path


def _load_balancer(service: Service, invocation: Invocation) -> dict[str, Any]:
    """Answer a load balancer, which passes on the path as sent, and takes headers in the form that it sends."""
    event = invocation.event
    path = decoded(event["path"])
    reply = to_reply(_ask(service, invocation, event["httpMethod"], path, reply_limit=_LOAD_BALANCER_LIMIT))
    reply["statusDescription"] = f"{reply['statusCode']} {HTTPStatus(reply['statusCode']).phrase}"
    if "multiValueHeaders" in event:
        reply["multiValueHeaders"] = {name: [value] for name, value in reply.pop("headers").items()}
    return reply


def _lattice(service: Service, invocation: Invocation, target: str) -> dict[str, Any]:
    """Answer VPC Lattice, whose path may have the query behind it."""
    path = decoded(target.partition("?")[0])
    return to_reply(_ask(service, invocation, invocation.event["method"], path))


def _ask(service: Service, invocation: Invocation, method: str, path: str, **limits: Any) -> Response:  # noqa: ANN401
    """Return the response to an event with that method and decoded path; `limits` are fields of a Request."""
    event = invocation.event
    caller = claims(event.get("requestContext"))
    head = Request(method, path, id=invocation.id, deadline=invocation.deadline, claims=caller, **limits)
    is_base64 = event.get("isBase64Encoded") or event.get("is_base64_encoded")  # as the first version of Lattice has it
    headers = event.get("multiValueHeaders") or event.get("headers")
    return ask(service, head, event, headers, is_base64=is_base64)
