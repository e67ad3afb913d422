"""Google's APIs over HTTP, with the token of whoever is signed in to gcloud; errors become ours here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from pilotlight_cli.gcp import Conflict, GcpError, NoAnswer, NotThere

_TIMEOUT = (10, 60)  # seconds to connect, and between two parts of an answer
_PAUSES = (1.0, 3.0, 9.0)  # seconds before each further try of a question

Token = Callable[[bool], str]
"""An access token; True asks for a fresh one."""


class Api:
    """An API at `endpoint`. A question is asked again where another try can help, a change never is."""

    def __init__(self, endpoint: str, token: Token, *, sleep: Callable[[float], None]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._session = requests.Session()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON document at a path. Raises NotThere, NoAnswer, GcpError."""
        for pause in _PAUSES:
            try:
                return self._call("GET", path)
            except NoAnswer:
                self._sleep(pause)
        return self._call("GET", path)

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Change what is at a path; after NoAnswer it may have changed. Raises Conflict too."""
        return self._call("PATCH", path, document)

    def close(self) -> None:
        """Give up the connections."""
        self._session.close()

    def _call(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        reply = self._send(method, path, document, fresh=False)
        if reply.status_code == 401:
            reply = self._send(method, path, document, fresh=True)
        if reply.ok:
            return _document(reply)
        raise _refusal(f"{method} {self._endpoint}/{path.partition('?')[0]}", reply)

    def _send(self, method: str, path: str, document: dict[str, Any] | None, *, fresh: bool) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token(fresh)}"}
        url = f"{self._endpoint}/{path}"
        try:
            return self._session.request(method, url, json=document, headers=headers, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise NoAnswer(f"{method} {url}: no answer ({error})") from error


def _document(reply: requests.Response) -> dict[str, Any]:
    try:
        found: dict[str, Any] = reply.json()
    except ValueError as error:
        raise NoAnswer(f"{reply.url}: the answer is no JSON ({error})") from error
    return found


def _refusal(what: str, reply: requests.Response) -> GcpError:
    try:
        said = reply.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = reply.text[:300]
    status = reply.status_code
    if status == 404:
        return NotThere(f"{what}: not there (404: {said})")
    if status in (409, 412):
        return Conflict(f"{what}: changed by somebody else meanwhile ({status}: {said})")
    if status == 429 or status >= 500:
        return NoAnswer(f"{what} answers {status}: {said}")
    if status == 403:
        return GcpError(f"{what} was refused (403: {said}); deploy/gcp/setup.sh lists the roles that a deployer needs")
    return GcpError(f"{what} answers {status}: {said}")
