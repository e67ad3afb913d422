"""What stands before a function that `pilotlight serve` runs: the page at `/docs`, and the way to the function."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.page import PATH
from pilotlight_cli.local.wsgi import BROKEN_BODY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Headers of one connection (RFC 9110, 7.6.1), and the length, which the next server writes itself.
_OF_THE_CONNECTION = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)

# All that the page needs is in it; it may call its own origin and nobody else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def with_page(application: WSGIApplication, page: bytes) -> WSGIApplication:
    """The application with the page in front of it."""

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return application(environ, start_response)
        headers = {"content-security-policy": _POLICY, "cache-control": "no-store"}
        return Response(page, 200, headers, content_type="text/html; charset=utf-8")(environ, start_response)

    return front


def forwarding(url: str, seconds: float) -> WSGIApplication:
    """An application that hands every request on to the server at `url`, as it is, and its answer back.

    A server that gives no answer within `seconds` is a 502, as it is at a load balancer.
    """
    host = url.removeprefix("http://")

    def forward(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            body = request.get_data()
        except BROKEN_BODY:
            return Response("the body does not come as its headers say\n", 400)(environ, start_response)
        with closing(http.client.HTTPConnection(host, timeout=seconds)) as connection:
            try:
                connection.request(
                    request.method,
                    environ["REQUEST_URI"],
                    body,
                    dict(_passed_on(request.headers.items())),
                )
                answer = connection.getresponse()
                reply = Response(answer.read(), answer.status, list(_passed_on(answer.getheaders())))
            except (OSError, http.client.HTTPException) as error:
                reply = Response(f"the function gives no answer: {error}\n", 502)
        return reply(environ, start_response)

    return forward


def _passed_on(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION)
