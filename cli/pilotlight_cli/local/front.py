"""The front of a function that `pilotlight serve` runs: the page at `/docs`, and proxies to functions."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from pilotlight.errors import PilotlightError
from pilotlight_cli.local.page import PATH, VERSIONS
from pilotlight_cli.local.wsgi import body_status

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Headers of one connection (RFC 9110, 7.6.1), and the length, which the next server sets itself.
_HOP_BY_HOP = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)

# The page is self-contained, and may call its own origin alone.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def with_page(application: WSGIApplication, page: Callable[[Mapping[str, str]], bytes]) -> WSGIApplication:
    """Return the application with the page in front of it.

    `page` returns the document for the fields of a query. A PilotlightError of it is a 502 with the sentence.
    """

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return application(environ, start_response)
        try:
            document = page(Request(environ).args)
        except PilotlightError as error:
            return Response(str(error), 502)(environ, start_response)
        headers = {"content-security-policy": _POLICY, "cache-control": "no-store"}
        return Response(document, 200, headers, content_type="text/html; charset=utf-8")(environ, start_response)

    return front


def with_versions(application: WSGIApplication, url_of: Callable[[str], str], seconds: float) -> WSGIApplication:
    """Return the application with the versions of its model below `VERSIONS`, forwarded as by `forwarding`.

    `url_of` returns the URL of NAME:VERSION, or raises PilotlightError, which is a 502 with the sentence.
    """

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(f"{VERSIONS}/"):
            return application(environ, start_response)
        name = path.removeprefix(f"{VERSIONS}/").partition("/")[0]
        try:
            url = url_of(name)
        except PilotlightError as error:
            return Response(str(error), 502)(environ, start_response)
        _, _, target = environ["REQUEST_URI"].removeprefix(f"{VERSIONS}/").partition("/")
        return forwarding(url, seconds)({**environ, "REQUEST_URI": f"/{target}"}, start_response)

    return front


def forwarding(url: str, seconds: float) -> WSGIApplication:
    """Return an application that forwards every request unchanged to the server at `url`.

    Without a response within `seconds` it returns 502, as load balancers do.
    """
    host = url.removeprefix("http://")

    def forward(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            body = request.get_data()
        except OSError as error:
            return Response("the body does not match its headers\n", body_status(error))(environ, start_response)
        with closing(http.client.HTTPConnection(host, timeout=seconds)) as connection:
            try:
                connection.request(
                    request.method,
                    environ["REQUEST_URI"],
                    body,
                    dict(_end_to_end(request.headers.items())),
                )
                received = connection.getresponse()
                response = Response(received.read(), received.status, list(_end_to_end(received.getheaders())))
            except (OSError, http.client.HTTPException) as error:
                response = Response(f"no response from the function: {error}\n", 502)
        return response(environ, start_response)

    return forward


def _end_to_end(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)
