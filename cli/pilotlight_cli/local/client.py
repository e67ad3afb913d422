"""An HTTP client for a function on this machine, without proxies and redirects."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; `status` is 0 if the connection failed."""

    status: int
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body, or an empty one."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def content(self) -> object:
        """The JSON object in the body, or its text if it is none."""
        return self.document or self.body.decode(errors="replace")

    @property
    def error(self) -> str:
        """The status and the error of the function or its platform."""
        message = self.document.get("error") or self.document.get("message") or self.content
        return f"{self.status}: {message}" if self.status else "no response"


def send(url: str, path: str, document: object = None, seconds: float = 60, variant: str = "") -> Response:
    """GET a path of a server, or POST a JSON document to it. The timeout is `seconds`.

    `variant` names a variant of an experiment.
    """
    headers = {"content-type": "application/json"} | ({"x-pilotlight-variant": variant} if variant else {})
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=seconds)
    try:
        if document is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(document).encode(), headers)
        response = connection.getresponse()
        return Response(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return Response(0, b"")
    finally:
        connection.close()
