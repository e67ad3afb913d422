"""An HTTP API that demands AWS Signature Version 4, and computes the signature again with botocore."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.wsgi import serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/([\w-]+)/execute-api/aws4_request, ?"
    r"SignedHeaders=([\w;-]+), ?Signature=(\w{64})"
)


@dataclass
class SignedGateway:
    """Answers 200 with the body it got, or `status`, and 403 to what is not signed by these credentials.

    With the URL of a server `behind` it, that answers what is signed.
    """

    key: str = "AKIDGATEWAY"
    secret: str = "secret"
    token: str = "session"
    region: str = "us-east-1"
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    open: bool = False
    behind: str = ""

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        body = request.get_data()
        if not self.open and not self._is_signed(request, body):
            return Response('{"message": "Forbidden"}', 403, content_type="application/json")
        self.bodies.append(body)
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        if self.behind:
            sent = {"content-type": request.headers.get("content-type", "")}
            found = requests.request(
                request.method, f"{self.behind}{request.path}", data=body, headers=sent, timeout=60
            )
            return Response(found.content, found.status_code, content_type=found.headers["content-type"])
        return Response(body, self.status, content_type="application/json")

    def _is_signed(self, request: Request, body: bytes) -> bool:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if not found or found[1] != self.key or found[2] != self.region:
            return False
        names = found[3].split(";")
        if "x-amz-security-token" not in names or request.headers["x-amz-security-token"] != self.token:
            return False
        signed = AWSRequest(request.method, request.url, {name: request.headers[name] for name in names}, body)
        signed.context["timestamp"] = request.headers["x-amz-date"]
        auth: Any = SigV4Auth(Credentials(self.key, self.secret), "execute-api", self.region)
        text = auth.string_to_sign(signed, auth.canonical_request(signed))
        return bool(auth.signature(text, signed) == found[4])


@contextmanager
def serving(gateway: SignedGateway) -> Iterator[str]:
    """Serve a gateway; yield its URL."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return gateway.answer(Request(environ))(environ, start_response)

    with serving_wsgi(application) as url:
        yield url
