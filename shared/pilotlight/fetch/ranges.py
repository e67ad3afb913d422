"""An object by plain GETs: in one request if it is small, in ranges over several connections if it is large.

The first response identifies the object (its ETag, its generation), and every other request is for that one alone: an
object that is replaced meanwhile is not mixed with the one before it. The size comes from the lock, so that no request
is needed to learn it.

A connection to an object store gives some 80 MB/s and takes 20 ms to set up, however large the range: more connections
are faster up to the machine's own limit, and a range should take much longer than its set-up. For 100 MB from such a
store `bench/fetch.py` prints 0.3 of what one stream takes, on two busy processors.
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Protocol, TypeVar

from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch import Deadline, ObjectStore, Sink, Span, UseSdk
from pilotlight.fetch.http_client import Connection, HttpResponse
from pilotlight.fetch.tls import Trust

Result = TypeVar("Result")

_MAX_CONNECTIONS = 16
_MIN_RANGE = 4 << 20  # bytes
_MAX_RANGE = 8 << 20  # less than a connection's share of a large file: the first ranges are hashed while others come
_BUFFER = 1 << 18


class Source(Protocol):
    """One object in a store, requested by the store's own protocol."""

    def reach(self, connection: Connection, deadline: Deadline) -> None:
        """Connect. Raises OSError."""
        ...

    def open(self, connection: Connection, span: Span | None, pin: str, deadline: Deadline) -> HttpResponse:
        """Return the response to a GET of a range, or of the whole object: 200, 206 or 416.

        With a pin, only of the object that it identifies. Raises Replaced if that object is gone, OSError if there is
        no response, and a StoreError for any other status.
        """
        ...

    def pin_of(self, response: HttpResponse) -> str:
        """Return the identity of a response's object; empty if the response does not give it."""
        ...

    def unsupported(self, reason: str) -> StoreError:
        """Return the error for something that plain GETs cannot handle."""
        ...


class Replaced(StoreUnavailable):
    """The object is no longer the one with which the fetch began."""


class PlainFetch:
    """Fetches from one store by plain GETs, or refers to the cloud's SDK. Between fetches no connection is kept."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        sdk: tuple[str, Callable[[], ObjectStore]],
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        """`url` is the store's. `sdk` is a name for the log, and imports the store that uses the SDK.

        `warn` logs why plain GETs failed.
        """
        self._url = url
        self._trust = trust
        self._sdk, self._load = sdk
        self._clock = clock
        self._warn = warn

    def __call__(self, source: Source, key: str, sink: Sink, timeout: float) -> None:
        """Fetch the object of `source`. See `pilotlight.fetch.ObjectStore.fetch`."""
        deadline = Deadline(self._clock, self._clock() + timeout)
        try:
            fetch_by_ranges(source, sink, lambda index: Connection(self._trust, index), deadline)
        except UseSdk:
            raise
        except StoreError as error:
            raise type(error)(f"{self._url}/{key}: {error}") from error

    def unsupported_environment(self) -> UseSdk:
        """Return the error for an environment whose settings only the SDK understands."""
        return UseSdk("the environment's settings need more than plain GETs", self._load)

    def unsupported(self, reason: str) -> UseSdk:
        """Return the error for a response that plain GETs cannot handle."""

        def load() -> ObjectStore:
            self._warn(f"{self._url}: {reason}; trying {self._sdk} instead, which is slow to import")
            return self._load()

        return UseSdk(reason, load)


def fetch_by_ranges(source: Source, sink: Sink, connect: Callable[[int], Connection], deadline: Deadline) -> None:
    """Write to `sink` what it misses of an object. `connect` makes a connection, from its index.

    Raises StoreUnavailable, DigestMismatch if the object has another size, and the errors of `source`.
    """
    spans = split(sink.missing() if sink.pin else [(0, sink.size)])
    _Transfer(source, sink, connect, deadline, spans).run()


def split(missing: Sequence[Span]) -> list[Span]:
    """Return the ranges to request, in order."""
    total = sum(end - start for start, end in missing)
    if total <= _MAX_RANGE:
        return list(missing)
    step = min(max(-(-total // _MAX_CONNECTIONS), _MIN_RANGE), _MAX_RANGE)
    return [(at, min(at + step, end)) for start, end in missing for at in range(start, end, step)]


class _Transfer:
    """The ranges still to fetch, and the threads that fetch them.

    A thread that fails returns the rest of its range and ends, and the others go on. All stop at an error that no retry
    would change.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        connect: Callable[[int], Connection],
        deadline: Deadline,
        spans: Sequence[Span],
    ) -> None:
        self._source = source
        self._sink = sink
        self._connect = connect
        self._deadline = deadline
        self._spans = deque(spans)
        self._pin = sink.pin
        self._first: int | None = None  # the thread whose response gives the pin
        self._error: BaseException | None = None
        self._is_stopped = False
        self._changed = threading.Condition()

    def run(self) -> None:
        """Fetch all ranges; this thread is one of those that do."""
        others: list[threading.Thread] = []
        with suppress(RuntimeError):  # if no more threads can be started, fewer fetch everything too
            for index in range(1, min(len(self._spans), _MAX_CONNECTIONS)):
                thread = threading.Thread(target=self._work, args=(index,), name="range", daemon=True)
                thread.start()
                others.append(thread)
        self._work(0)
        for thread in others:
            thread.join()
        if self._error is not None and (self._is_stopped or self._spans):
            raise self._error

    def _work(self, index: int) -> None:
        try:
            with closing(self._connect(index)) as connection:
                if index:  # set up while the first response comes
                    self._request(lambda: self._source.reach(connection, self._deadline))
                while span := self._take(index):
                    self._get(connection, span)
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._fail(index, error)

    def _take(self, index: int) -> Span | None:
        """Return the next range. Until the object is identified, only one is requested."""
        with self._changed:
            while self._spans and not self._is_stopped:
                if self._pin or self._first in (None, index):
                    self._first = index
                    return self._spans.popleft()
                self._changed.wait(max(self._deadline.end - self._deadline.clock(), 0.01))
        return None

    def _give_back(self, span: Span) -> None:
        with self._changed:
            self._spans.appendleft(span)

    def _fail(self, index: int, error: BaseException) -> None:
        with self._changed:
            if not self._is_stopped:
                self._error = error
            if self._first == index:
                self._first = None
            self._is_stopped |= isinstance(error, Replaced) or not isinstance(error, StoreUnavailable)
            self._changed.notify_all()

    def _get(self, connection: Connection, span: Span) -> None:
        """Fetch a range, resuming after a body that breaks off. The rest of it is given back on failure."""
        at, end = span
        try:
            while at < end:
                began = at
                response = self._open(connection, (at, end))
                if response.status == 200:
                    at = began = 0
                    end = self._sink.size
                at = self._receive(response, at, end)
                if at < end:
                    connection.close()
                    # Without a pin the rest could be another object's; without progress a retry would not help.
                    if at == began or not self._pin or self._deadline.has_passed:
                        raise StoreUnavailable(f"the body ended after {at} bytes: {_reason(response)}")
        finally:
            if at < end:
                self._give_back((at, end))

    def _receive(self, response: HttpResponse, at: int, end: int) -> int:
        """Write a body from the offset `at` to `end` as far as it comes, and return the offset after it."""
        buffer = memoryview(bytearray(min(_BUFFER, end - at)))
        while at < end and response.error is None:
            count = response.read_into(buffer[: end - at], self._deadline)
            if not count:
                break
            self._sink.write(at, buffer[:count])
            at += count
        return at

    def _open(self, connection: Connection, span: Span) -> HttpResponse:
        """Return the response with these bytes, or with the whole object if the first request gets that."""
        is_whole = span == (0, self._sink.size)
        response = self._request(
            lambda: self._source.open(connection, None if is_whole else span, self._pin, self._deadline)
        )
        self._check_size(response, span)
        pin = self._source.pin_of(response)
        if response.status == 206 and not pin:
            raise self._source.unsupported("the response does not identify its object")
        with self._changed:
            if self._pin and (pin != self._pin or (response.status == 200 and not is_whole)):
                self._sink.restart("")
                raise Replaced(f"the object was replaced during the fetch, or ranges are ignored ({response.status})")
            if not self._pin:
                self._sink.restart(pin)
                self._pin = pin
            if response.status == 200:
                self._spans.clear()
            self._changed.notify_all()
        return response

    def _check_size(self, response: HttpResponse, span: Span) -> None:
        """Raise DigestMismatch for an object of another size, StoreUnavailable for other bytes than requested."""
        if response.status == 200:
            if response.length is not None:
                self._sink.check_size(response.length)
            return
        part, _, size = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if size.isdecimal():
            self._sink.check_size(int(size))
        expected = f"{span[0]}-{span[1] - 1}"
        if response.status != 206 or part != expected:
            raise StoreUnavailable(
                f"expected status 206 with bytes {expected}, found status {response.status} with bytes {part or 'none'}"
            )

    def _request(self, send: Callable[[], Result]) -> Result:
        try:
            return send()
        except ssl.SSLCertVerificationError as error:  # the cloud's SDK brings certificates of its own
            raise self._source.unsupported(str(error)) from error
        except Replaced:
            self._sink.restart("")
            raise
        except OSError as error:
            raise StoreUnavailable(f"no response ({type(error).__name__}: {error})") from error


def _reason(response: HttpResponse) -> str:
    error = response.error
    return "the server sent no more" if error is None else f"{type(error).__name__}: {error}"
