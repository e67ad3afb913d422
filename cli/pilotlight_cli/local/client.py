"""HTTP to a function on this machine; no proxy and no redirect comes between."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply; `status` is 0 where the connection failed."""

    status: int
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; an empty one where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def error(self) -> str:
        """What the reply says of a failure: the function's sentence, or the platform's own."""
        told = self.document.get("error") or self.document.get("message") or self.body.decode(errors="replace")
        return f"{self.status}: {told}" if self.status else "no answer"


def send(url: str, path: str, document: object = None, seconds: float = 60) -> Reply:
    """GET a path of a server, or POST a JSON document to it."""
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=seconds)
    try:
        if document is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})
        reply = connection.getresponse()
        return Reply(reply.status, reply.read())
    except (OSError, http.client.HTTPException):
        return Reply(0, b"")
    finally:
        connection.close()
