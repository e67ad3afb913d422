"""Google's APIs over HTTP, with the access token of the account signed in to gcloud. Maps errors to GcpError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from pilotlight_cli.gcp import Conflict, GcpError, NoAccess, NotFound, Unavailable

_TIMEOUT = (10, 60)  # seconds to connect, and between two reads
_RETRY_PAUSES = (1.0, 3.0, 9.0)  # seconds before each retry

Token = Callable[[bool], str]
"""Returns an access token; True requests a fresh one."""


class Api:
    """An API at `endpoint`. A GET is retried after Unavailable, a PATCH never is."""

    def __init__(self, endpoint: str, token: Token, *, sleep: Callable[[float], None]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._session = requests.Session()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON document at a path. Raises NotFound, Unavailable, GcpError."""
        for pause in _RETRY_PAUSES:
            try:
                return self._call("GET", path)
            except Unavailable:
                self._sleep(pause)
        return self._call("GET", path)

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Send a change and return the response's document. Raises as `get` does, and Conflict.

        After Unavailable the change may have taken effect.
        """
        return self._call("PATCH", path, document)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _call(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._send(method, path, document, fresh=False)
        if response.status_code == 401:
            response = self._send(method, path, document, fresh=True)
        if response.ok:
            return _document(response)
        raise _error_of(f"{method} {self._endpoint}/{path.partition('?')[0]}", response)

    def _send(self, method: str, path: str, document: dict[str, Any] | None, *, fresh: bool) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token(fresh)}"}
        url = f"{self._endpoint}/{path}"
        try:
            return self._session.request(method, url, json=document, headers=headers, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise Unavailable(f"{method} {url}: no response ({error})") from error


def _document(response: requests.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = response.json()
    except ValueError as error:
        raise Unavailable(f"{response.url}: the response is not JSON ({error})") from error
    return document


def _error_of(call: str, response: requests.Response) -> GcpError:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:300]
    status = response.status_code
    if status == 404:
        return NotFound(f"{call}: not found (404: {message})")
    if status in (409, 412):
        return Conflict(f"{call}: the resource changed in the meantime ({status}: {message})")
    if status == 429 or status >= 500:
        return Unavailable(f"{call} returned {status}: {message}")
    if status == 403:
        return NoAccess(
            f"{call}: permission denied (403: {message}); deploy/gcp/setup.sh lists the roles that a deployer needs"
        )
    return GcpError(f"{call} returned {status}: {message}")
