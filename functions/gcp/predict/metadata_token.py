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

# Seconds. The server lies beside the function: it can be slow to answer, not slow to reach. It keeps a token itself
# until five minutes before its end, and gives the same one until then.
_CONNECT = 3.0
_MARGIN = 240.0

_LARGEST = 1 << 16


class TokenSource:
    """Tokens, each kept until it nears its end."""

    def __init__(self, host: str, clock: Callable[[], float]) -> None:
        """`host` may have a port. `clock` is monotonic and in seconds."""
        self.host = host
        self._clock = clock
        self._token = ""
        self._end = 0.0

    def ask(self, timeout: float) -> Asked:
        """Send the request for a token, unless there is one: the answer can come while other things are done.

        Raises StoreUnavailable where the server cannot be reached.
        """
        if self._token and self._clock() < self._end:
            return Asked(self, None, self._token)
        connection = HTTPConnection(self.host, timeout=min(timeout, _CONNECT))
        try:
            connection.request("GET", _PATH, headers={"Metadata-Flavor": "Google"})
        except (OSError, HTTPException) as error:
            connection.close()
            raise _unreachable(self.host, error) from error
        return Asked(self, connection, "")

    def keep(self, token: str, seconds: float) -> None:
        """Remember a token that is good for so many seconds."""
        self._token, self._end = token, self._clock() + seconds - _MARGIN

    def forget(self) -> None:
        """Ask for a new one the next time: this one was not taken."""
        self._token = ""


class Asked:
    """A token that was asked for, or one that was there."""

    def __init__(self, source: TokenSource, connection: HTTPConnection | None, token: str) -> None:
        self._source = source
        self._connection = connection
        self._token = token

    def token(self, timeout: float) -> str:
        """Wait for the token. Raises StoreUnavailable where it may come later, ObjectRefused where there is none."""
        if self._connection is None:
            return self._token
        host = self._source.host
        try:
            self._connection.sock.settimeout(timeout)
            with self._connection.getresponse() as response:
                status, flavor = response.status, response.getheader("Metadata-Flavor")
                content = response.read(_LARGEST)
        except (OSError, HTTPException) as error:
            raise _unreachable(host, error) from error
        if flavor != "Google":  # whatever else answers at that address is not to be believed
            raise StoreUnavailable(f"what answers at {host} is not the metadata server ({status})")
        if status in (403, 404):
            raise ObjectRefused(f"the metadata server has no token ({status}): the function needs a service account")
        if status != 200:
            raise StoreUnavailable(f"the metadata server answers {status}, expected a token")
        token, seconds = _parsed(content)
        self._source.keep(token, seconds)
        return token

    def close(self) -> None:
        """End the request, answered or not."""
        if self._connection is not None:
            self._connection.close()


def _unreachable(host: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"no token from the metadata server at {host} ({type(error).__name__}: {error}); outside of Google Cloud set "
        "GOOGLE_APPLICATION_CREDENTIALS or sign in with 'gcloud auth application-default login'"
    )


def _parsed(content: bytes) -> tuple[str, float]:
    try:
        document = json.loads(content)
        token, seconds = document["access_token"], float(document["expires_in"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(f"the metadata server answers with something that is no token: {error!r}") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise StoreUnavailable("the metadata server answers with a token that no header can hold")
    return token, seconds
