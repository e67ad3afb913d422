"""An object by plain GETs: in one request where it is small, in ranges over several connections where it is large.

The first answer tells which object it is (its ETag, its generation), and every other request is for that one alone: an
object that is replaced meanwhile is not mixed with the one before it. The lock tells how large it is, so that nothing
has to be asked for before.

A connection to an object store gives some 80 MB/s and takes 20 ms to begin, however large the range: more connections
are faster until the machine's own limit, and a range should take much longer than its beginning. For 100 MB from such
a store `bench/fetch.py` prints 0.3 of what one stream takes, on two busy processors.
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Protocol, TypeVar

from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch.download import Span
from pilotlight.fetch.http_client import Connection, HttpResponse
from pilotlight.fetch.protocol import Sink, Timer

Result = TypeVar("Result")

_CONNECTIONS = 16
_SMALLEST = 4 << 20  # bytes of a range
_LARGEST = 8 << 20  # smaller than a connection's share of a large file: the first ones are hashed while the others come
_BUFFER = 1 << 18


class Source(Protocol):
    """One object in a store, as the store's own protocol asks for it."""

    def reach(self, connection: Connection, timer: Timer) -> None:
        """Connect. Raises OSError."""
        ...

    def open(self, connection: Connection, span: Span | None, pin: str, timer: Timer) -> HttpResponse:
        """The answer to a GET of these bytes, or of all: 200, 206 or 416. With a pin, of that object and no other.

        Raises Replaced where that is not there any more, OSError where nothing answers, and a StoreError for whatever
        else is answered.
        """
        ...

    def pin_of(self, response: HttpResponse) -> str:
        """Which object the answer has; empty where it does not tell."""
        ...

    def unforeseen(self, why: str) -> StoreError:
        """What to raise for something that plain GETs cannot handle."""
        ...


class Replaced(StoreUnavailable):
    """The object is not the one any more with which the fetch began."""


def fetch_by_ranges(source: Source, sink: Sink, connect: Callable[[int], Connection], timer: Timer) -> None:
    """Write to `sink` what it misses of an object. `connect` makes a connection; its argument counts them.

    Raises StoreUnavailable, DigestMismatch where the object has another size, and what `source` raises.
    """
    spans = split(sink.missing() if sink.pin else [(0, sink.size)])
    _Transfer(source, sink, connect, timer, spans).run()


def split(missing: Sequence[Span]) -> list[Span]:
    """The ranges to ask for, in order."""
    total = sum(end - start for start, end in missing)
    if total <= _LARGEST:
        return list(missing)
    step = min(max(-(-total // _CONNECTIONS), _SMALLEST), _LARGEST)
    return [(at, min(at + step, end)) for start, end in missing for at in range(start, end, step)]


class _Transfer:
    """The ranges that are to come, and the threads that get them.

    A thread that gets no further gives back what it has not got and ends, and the others go on. Nothing goes on after
    what another try would not change.
    """

    def __init__(
        self, source: Source, sink: Sink, connect: Callable[[int], Connection], timer: Timer, spans: Sequence[Span]
    ) -> None:
        self._source = source
        self._sink = sink
        self._connect = connect
        self._timer = timer
        self._spans = deque(spans)
        self._pin = sink.pin
        self._first: int | None = None  # whose answer tells the pin
        self._fault: BaseException | None = None
        self._is_stopped = False
        self._changed = threading.Condition()

    def run(self) -> None:
        """Get all of them, one in this thread."""
        others: list[threading.Thread] = []
        with suppress(RuntimeError):  # where no more threads can be started, fewer get all of it too
            for turn in range(1, min(len(self._spans), _CONNECTIONS)):
                thread = threading.Thread(target=self._work, args=(turn,), name="range", daemon=True)
                thread.start()
                others.append(thread)
        self._work(0)
        for thread in others:
            thread.join()
        if self._fault is not None and (self._is_stopped or self._spans):
            raise self._fault

    def _work(self, turn: int) -> None:
        try:
            with closing(self._connect(turn)) as connection:
                if turn:  # set up while the first answer comes
                    self._answered(lambda: self._source.reach(connection, self._timer))
                while span := self._take(turn):
                    self._get(connection, span)
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._fail(turn, error)

    def _take(self, turn: int) -> Span | None:
        """The next range. Until it is known which object they are of, only one is asked for."""
        with self._changed:
            while self._spans and not self._is_stopped:
                if self._pin or self._first in (None, turn):
                    self._first = turn
                    return self._spans.popleft()
                self._changed.wait(max(self._timer.end - self._timer.clock(), 0.01))
        return None

    def _give_back(self, span: Span) -> None:
        with self._changed:
            self._spans.appendleft(span)

    def _fail(self, turn: int, error: BaseException) -> None:
        with self._changed:
            if not self._is_stopped:
                self._fault = error
            if self._first == turn:
                self._first = None
            self._is_stopped |= isinstance(error, Replaced) or not isinstance(error, StoreUnavailable)
            self._changed.notify_all()

    def _get(self, connection: Connection, span: Span) -> None:
        """Get a range, reading on where a body breaks off. What does not come is given back."""
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
                    # Without a pin the rest could be another object's; without progress it gets no better.
                    if at == began or not self._pin or self._timer.is_over:
                        raise StoreUnavailable(f"the body ended after {at} bytes: {_reason(response)}")
        finally:
            if at < end:
                self._give_back((at, end))

    def _receive(self, response: HttpResponse, at: int, end: int) -> int:
        """Write what comes of a body; how far it came."""
        buffer = memoryview(bytearray(min(_BUFFER, end - at)))
        while at < end and response.fault is None:
            count = response.read_into(buffer[: end - at], self._timer)
            if not count:
                break
            self._sink.write(at, buffer[:count])
            at += count
        return at

    def _open(self, connection: Connection, span: Span) -> HttpResponse:
        """The answer that has these bytes, or all of them where that is what is answered to the first request."""
        is_whole = span == (0, self._sink.size)
        response = self._answered(
            lambda: self._source.open(connection, None if is_whole else span, self._pin, self._timer)
        )
        self._check_size(response, span)
        found = self._source.pin_of(response)
        if response.status == 206 and not found:
            raise self._source.unforeseen("the answer does not tell which object it is of")
        with self._changed:
            if self._pin and (found != self._pin or (response.status == 200 and not is_whole)):
                self._sink.restart("")
                raise Replaced(f"the object was replaced while it came, or ranges are not heeded ({response.status})")
            if not self._pin:
                self._sink.restart(found)
                self._pin = found
            if response.status == 200:
                self._spans.clear()
            self._changed.notify_all()
        return response

    def _check_size(self, response: HttpResponse, span: Span) -> None:
        """Raise DigestMismatch where the object has another size, StoreUnavailable where these are not its bytes."""
        if response.status == 200:
            if response.length is not None:
                self._sink.check_size(response.length)
            return
        part, _, size = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if size.isdecimal():
            self._sink.check_size(int(size))
        if response.status != 206 or part != f"{span[0]}-{span[1] - 1}":
            raise StoreUnavailable(
                f"asked for bytes {span[0]} to {span[1] - 1}, the answer is {response.status} {part}"
            )

    def _answered(self, ask: Callable[[], Result]) -> Result:
        try:
            return ask()
        except ssl.SSLCertVerificationError as error:  # a cloud's own client brings certificates of its own
            raise self._source.unforeseen(str(error)) from error
        except Replaced:
            self._sink.restart("")
            raise
        except OSError as error:
            raise StoreUnavailable(f"no answer ({type(error).__name__}: {error})") from error


def _reason(response: HttpResponse) -> str:
    return f"{type(response.fault).__name__}: {response.fault}" if response.fault else "it was no longer"
