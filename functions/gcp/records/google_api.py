"""Calls of Google's JSON APIs as the function's own service account, without Google's clients.

Those take longer to import than the rest of a start. A call is one request: whatever fails comes again with its event.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from gcs_store import AUTHORITIES, plain_address, token_source
from metadata_token import TokenSource
from pilotlight.errors import SettingsError, StoreUnavailable
from pilotlight.fetch.http_client import Address
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import dataclass

_MAX_WAIT = 10.0  # seconds for a connection, or for the next bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `limit` bounds what is read of the response's body, in bytes."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"
    limit: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, and of its body at most one byte more than the call's limit."""

    status: int
    content: bytes

    @property
    def text(self) -> str:
        """The status and the beginning of the body, in one line, for a message."""
        return " ".join(f"{self.status} {self.content[:300].decode(errors='replace')}".split())


class GoogleApi:
    """One API. Threads may call it at the same time; connections are kept for the next calls."""

    def __init__(
        self, address: Address, tokens: TokenSource | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`tokens` is None for an emulator, which needs none."""
        self._address = address
        self._tokens = tokens
        self._clock = clock
        self._trust = Trust(AUTHORITIES)
        self._kept: deque[HTTPConnection] = deque()

    def call(self, call: Call, deadline: float) -> Reply:
        """Return the response to a request, by a deadline on the clock.

        Raises StoreUnavailable if the API or the metadata server cannot be reached, ObjectRefused if there is no token.
        """
        reply = self._call(call, deadline)
        if reply.status == 401 and self._tokens:  # the token was revoked before it expired
            self._tokens.forget()
            reply = self._call(call, deadline)
        return reply

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._kept:
            self._kept.pop().close()

    def _call(self, call: Call, deadline: float) -> Reply:
        headers = {"Content-Type": call.content_type, **self._authorization(deadline)}
        try:
            with suppress(
                ConnectionError, ssl.SSLError, IndexError
            ):  # none is kept, or the server has closed it meanwhile
                return self._send(self._kept.pop(), call, headers, deadline)
            return self._send(self._connect(deadline), call, headers, deadline)
        except (OSError, HTTPException) as error:
            raise StoreUnavailable(f"{self._address.host}: {type(error).__name__}: {error}") from error

    def _send(self, connection: HTTPConnection, call: Call, headers: Mapping[str, str], deadline: float) -> Reply:
        is_reusable = False
        try:
            connection.sock.settimeout(self._wait(deadline))
            connection.request(call.method, call.target, call.body or None, dict(headers))
            response = connection.getresponse()
            content = response.read(call.limit + 1)
            is_reusable = response.isclosed() and not response.will_close
        finally:
            if is_reusable:
                self._kept.append(connection)
            else:
                connection.close()
        return Reply(response.status, content)

    def _connect(self, deadline: float) -> HTTPConnection:
        host, port = self._address.host, self._address.port
        if not self._address.tls:
            connection = HTTPConnection(host, port, timeout=self._wait(deadline))
            connection.connect()
            return connection
        context = self._trust.context()
        try:
            return self._connect_tls(context, deadline)
        except ssl.SSLCertVerificationError:
            wider = self._trust.widened(context)
            if wider is None:
                raise
        return self._connect_tls(wider, deadline)

    def _connect_tls(self, context: ssl.SSLContext, deadline: float) -> HTTPConnection:
        connection = HTTPSConnection(
            self._address.host, self._address.port, timeout=self._wait(deadline), context=context
        )
        connection.connect()
        return connection

    def _authorization(self, deadline: float) -> dict[str, str]:
        if self._tokens is None:
            return {}
        request = self._tokens.request(self._wait(deadline))
        try:
            return {"Authorization": f"Bearer {request.token(self._wait(deadline))}"}
        finally:
            request.close()

    def _wait(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise StoreUnavailable(f"no time was left for {self._address.host}")
        return min(left, _MAX_WAIT)


def storage(environ: Mapping[str, str]) -> GoogleApi:
    """Return Cloud Storage's API; STORAGE_EMULATOR_HOST may name another server. Raises SettingsError."""
    address = plain_address(environ)
    if address is None:
        raise SettingsError(
            "the function for records reaches Google's APIs as its own service account and without a proxy: remove "
            "GOOGLE_APPLICATION_CREDENTIALS and the variables of proxies, universes and client certificates"
        )
    return GoogleApi(address, None if environ.get("STORAGE_EMULATOR_HOST") else token_source(environ))


def pubsub(environ: Mapping[str, str]) -> GoogleApi:
    """Return Pub/Sub's API; PUBSUB_EMULATOR_HOST may name an emulator's host and port."""
    emulator = environ.get("PUBSUB_EMULATOR_HOST", "")
    if emulator:
        host, _, port = emulator.rpartition(":")
        return GoogleApi(Address(tls=False, host=host, port=int(port)), None)
    return GoogleApi(Address(tls=True, host="pubsub.googleapis.com", port=443), token_source(environ))
