"""The part of Lambda's API that invokes versions and reads aliases: a version is a function of an event."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.lambda_runtime import FunctionFailed
from pilotlight_cli.local.wsgi import serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and API_GetAlias.html
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_ALIAS = re.compile(r"/2015-03-31/functions/([^/]+)/aliases/([^/]+)")


@dataclass
class FakeLambda:
    """A function `name`: the answers of its versions, and the version of each alias. Both may change at any time.

    A version is called with an event; a FunctionFailed that it raises is a function error, as with Lambda.
    """

    name: str
    versions: dict[str, Callable[[object], Any]]
    aliases: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)

    def answer(self, request: Request) -> Response:
        """Answer a call of the API."""
        if found := _INVOKE.fullmatch(request.path):
            return self._invoke(found[1], request.args.get("Qualifier", ""), json.loads(request.get_data()))
        if found := _ALIAS.fullmatch(request.path):
            if request.method == "PUT":
                change = json.loads(request.get_data())
                self.aliases[found[2]] = change["FunctionVersion"]
                self.weights[found[2]] = change["RoutingConfig"]["AdditionalVersionWeights"]
            return self._alias(found[1], found[2])
        return _missing(request.path)

    def _invoke(self, name: str, qualifier: str, event: object) -> Response:
        version = self.aliases.get(qualifier, qualifier)
        if name != self.name or version not in self.versions:
            return _missing(f"{name}:{qualifier}")
        headers = {"X-Amz-Executed-Version": version, "Content-Type": "application/json"}
        try:
            payload = json.dumps(self.versions[version](event))
        except FunctionFailed as error:
            headers["X-Amz-Function-Error"] = "Unhandled"
            payload = json.dumps({"errorType": error.type, "errorMessage": str(error)})
        return Response(payload, 200, headers)

    def _alias(self, name: str, alias: str) -> Response:
        if name != self.name or alias not in self.aliases:
            return _missing(f"{name}:{alias}")
        document: dict[str, object] = {"Name": alias, "FunctionVersion": self.aliases[alias]}
        if alias in self.weights:
            document["RoutingConfig"] = {"AdditionalVersionWeights": self.weights[alias]}
        return Response(json.dumps(document), 200, content_type="application/json")


def _missing(what: str) -> Response:
    headers = {"x-amzn-errortype": "ResourceNotFoundException"}
    return Response(json.dumps({"Type": "User", "Message": f"Function not found: {what}"}), 404, headers)


@contextmanager
def lambda_api(*functions: FakeLambda) -> Iterator[Mapping[str, str]]:
    """Serve the API of these functions, and give the variables with which every client finds it."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        asked = [function for function in functions if f"/{function.name}/" in f"{request.path}/"]
        return (asked or functions)[0].answer(request)(environ, start_response)

    with serving_wsgi(application) as url:
        yield {"AWS_ENDPOINT_URL_LAMBDA": url}
