"""An object from Cloud Storage by a plain GET, with nothing but the standard library.

https://cloud.google.com/storage/docs/json_api/v1/objects/get. One request where all is well; a body that breaks off is
read on from where it ended.

The lock names no generation, its digest is the pin. What is pinned here is the generation that the first answer tells:
what is read on is of the same object. X-Goog-Hash is not looked at. TLS keeps the bytes on their way, the core holds
them against the lock's SHA-256, and one more hash would cost every cold start what is next to never of use.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import socket
from urllib.parse import quote, urlsplit

from metadata_token import TokenSource
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.frozen import dataclass
from pilotlight.store import Sink

_CHUNK = 1 << 16  # a read gives no more than a record of TLS, 16 KB
_PATIENCE = 10.0  # seconds for whatever comes next

_CAUSES = (
    "Either the object is not there, or the function's service account may not read it (it needs storage.objects.get "
    "on the bucket)"
)


class Unforeseen(StoreError):
    """An answer that a plain GET cannot handle. Nothing was written yet; Google's client may know what to do."""


class _Broken(Exception):
    """A body that ended before its end."""


def refused(said: str) -> ObjectRefused:
    """A 403 or a 404, with what both can mean."""
    return ObjectRefused(f"{said}. {_CAUSES}")


@dataclass(frozen=True, slots=True)
class PlainGet:
    """Gets a bucket's objects at `endpoint`, a URL. `tokens` is None for an emulator, which wants none."""

    endpoint: str
    bucket: str
    tokens: TokenSource | None
    clock: Callable[[], float]

    def get(self, name: str, sink: Sink, timeout: float) -> None:
        """Write an object to `sink` within `timeout` seconds, but for what has no limit of its own (a name's look-up).

        Raises StoreUnavailable for what may pass, ObjectRefused for a 403 or a 404, and Unforeseen.
        """
        timer = _Timer(self.clock, self.clock() + timeout)
        at, generation = 0, ""
        while True:
            began = at
            with ExitStack() as stack:
                body = self._open(stack, name, at, generation, timer)
                generation = body.generation
                try:
                    for chunk in body.chunks():
                        sink.write(chunk)
                        at += len(chunk)
                    return
                except _Broken as broken:
                    # Without a generation the rest could be another object's; without progress it gets no better.
                    if at == began or not generation or timer.is_over:
                        raise StoreUnavailable(f"the body ended after {at} bytes: {broken}") from broken

    def _open(self, stack: ExitStack, name: str, at: int, generation: str, timer: _Timer) -> _Body:
        """The body from byte `at` on. What it needs is closed with `stack`."""
        try:
            body = self._ask(stack, name, at, generation, timer)
        except ssl.SSLCertVerificationError as error:  # Google's client brings certificates of its own
            raise Unforeseen(str(error)) from error
        except (OSError, HTTPException) as error:
            raise StoreUnavailable(f"no answer from {self.endpoint} ({type(error).__name__}: {error})") from error
        if at:
            body.check_rest(at, generation)
        elif body.response.status != 200:
            raise self._refusal(body.response)
        elif body.response.getheader("Content-Encoding", "identity") != "identity":
            raise Unforeseen("the object comes compressed")
        return body

    def _ask(self, stack: ExitStack, name: str, at: int, generation: str, timer: _Timer) -> _Body:
        path = f"/storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(name, safe='')}?alt=media"
        headers = {"Accept-Encoding": "identity"}
        if at:
            path += f"&generation={generation}"
            headers["Range"] = f"bytes={at}-"
        asked = self.tokens.ask(timer.next()) if self.tokens else None
        if asked:
            stack.callback(asked.close)
        connection = stack.enter_context(closing(self._connection(timer.next())))
        connection.connect()  # TLS is set up while the token comes
        if asked:
            headers["Authorization"] = f"Bearer {asked.token(timer.next())}"
        stream = connection.sock
        stream.settimeout(timer.next())
        connection.request("GET", path, headers=headers)
        response = stack.enter_context(connection.getresponse())
        return _Body(response, stream, timer, response.getheader("X-Goog-Generation", ""), _length(response, at))

    def _connection(self, timeout: float) -> HTTPConnection:
        url = urlsplit(self.endpoint)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        return kind(url.hostname or "", url.port, timeout=timeout)

    def _refusal(self, response: HTTPResponse) -> StoreError:
        status, said = response.status, f"{response.status} {_said(response)}".strip()
        if status in (403, 404):
            return refused(said)
        if status == 401 and self.tokens:
            self.tokens.forget()
        if status in (401, 408, 429) or status >= 500:
            return StoreUnavailable(said)
        return Unforeseen(said)


@dataclass(frozen=True, slots=True)
class _Timer:
    """Time until `end`. One wait gets at most half of what is left, so that another try fits in after it."""

    clock: Callable[[], float]
    end: float

    @property
    def is_over(self) -> bool:
        return self.clock() >= self.end

    def next(self) -> float:
        left = self.end - self.clock()
        if left <= 0:
            raise TimeoutError("the time is over")
        return min(_PATIENCE, max(left / 2, 0.05))


@dataclass(frozen=True, slots=True)
class _Body:
    """An answer. `length` is how many bytes are to come, or None where nothing tells it."""

    response: HTTPResponse
    stream: socket
    timer: _Timer
    generation: str
    length: int | None

    def check_rest(self, at: int, generation: str) -> None:
        """Raise StoreUnavailable where this is not the rest of that generation: it may have been replaced."""
        status, part = self.response.status, self.response.getheader("Content-Range", "")
        if status != 206 or not part.startswith(f"bytes {at}-") or self.generation != generation:
            raise StoreUnavailable(
                f"the body broke off after {at} bytes, and the answer to a request for the rest is {status} {part}, "
                f"generation {self.generation or 'unknown'}"
            )

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come. Raises _Broken."""
        left = self.length
        while left is None or left > 0:
            try:
                self.stream.settimeout(self.timer.next())
                chunk = self.response.read1(_CHUNK)  # one wait, however few bytes end it
            except (OSError, HTTPException) as error:
                raise _Broken(f"{type(error).__name__}: {error}") from error
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield chunk
        if left:
            raise _Broken(f"{left} are missing")


def _length(response: HTTPResponse, at: int) -> int | None:
    if response.length is not None:
        return response.length
    stored = response.getheader("X-Goog-Stored-Content-Length", "")
    plain = response.getheader("X-Goog-Stored-Content-Encoding", "identity") == "identity"
    return int(stored) - at if plain and stored.isdecimal() else None


def _said(response: HTTPResponse) -> str:
    """The first words of an error's body."""
    with suppress(OSError, HTTPException):
        return " ".join(response.read1(500).decode(errors="replace").split())
    return ""
