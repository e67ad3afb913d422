"""The access token of the function's own service account, from the metadata server.

https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

from pilotlight.errors import ObjectRefused, StoreUnavailable

# By its documented address, so that no name has to be looked up.
DEFAULT_HOST = "169.254.169.254"

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"

# Seconds. The server is next to the function: it can be slow to respond, but not to reach. It caches a token itself
# until five minutes before it expires.
_CONNECT_TIMEOUT = 3.0
_MARGIN = 240.0

_MAX_BYTES = 1 << 16


class TokenSource:
    """Tokens, each cached until shortly before it expires."""

    def __init__(self, host: str, clock: Callable[[], float]) -> None:
        """`host` may have a port. `clock` is monotonic and in seconds."""
        self.host = host
        self._clock = clock
        self._token = ""
        self._expiry = 0.0

    def request(self, timeout: float) -> TokenRequest:
        """Send the request for a token, unless one is cached: the caller can do other work before the response.

        Raises StoreUnavailable if the server cannot be reached.
        """
        if self._token and self._clock() < self._expiry:
            return TokenRequest(self, None, self._token)
        connection = HTTPConnection(self.host, timeout=min(timeout, _CONNECT_TIMEOUT))
        try:
            connection.request("GET", _PATH, headers={"Metadata-Flavor": "Google"})
        except (OSError, HTTPException) as error:
            connection.close()
            raise _unreachable(self.host, error) from error
        return TokenRequest(self, connection, "")

    def keep(self, token: str, seconds: float) -> None:
        """Cache a token that is valid for so many seconds."""
        self._token, self._expiry = token, self._clock() + seconds - _MARGIN

    def forget(self) -> None:
        """Drop the cached token, after the store has refused it."""
        self._token = ""


class TokenRequest:
    """A request for a token, or a cached token."""

    def __init__(self, source: TokenSource, connection: HTTPConnection | None, token: str) -> None:
        self._source = source
        self._connection = connection
        self._token = token

    def token(self, timeout: float) -> str:
        """Wait for the token. Raises StoreUnavailable if a retry may get one, ObjectRefused if there is none."""
        if self._connection is None:
            return self._token
        host = self._source.host
        try:
            self._connection.sock.settimeout(timeout)
            with self._connection.getresponse() as response:
                status, flavor = response.status, response.getheader("Metadata-Flavor")
                content = response.read(_MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise _unreachable(host, error) from error
        if flavor != "Google":  # any other server at that address cannot be trusted
            raise StoreUnavailable(f"the server at {host} is not the metadata server ({status})")
        if status in (403, 404):
            raise ObjectRefused(f"the metadata server has no token ({status}): the function needs a service account")
        if status != 200:
            raise StoreUnavailable(f"expected a token from the metadata server, found status {status}")
        token, seconds = _parse(content)
        self._source.keep(token, seconds)
        return token

    def close(self) -> None:
        """Close the request's connection."""
        if self._connection is not None:
            self._connection.close()


def _unreachable(host: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"no token from the metadata server at {host} ({type(error).__name__}: {error}); outside Google Cloud set "
        "GOOGLE_APPLICATION_CREDENTIALS or sign in with 'gcloud auth application-default login'"
    )


def _parse(content: bytes) -> tuple[str, float]:
    try:
        document = json.loads(content)
        token, seconds = document["access_token"], float(document["expires_in"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(f"expected a token from the metadata server, found something else: {error!r}") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise StoreUnavailable("the metadata server's token has characters that a header cannot contain")
    return token, seconds
