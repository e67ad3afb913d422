from __future__ import annotations

import threading

import pytest

from pilotlight.errors import DigestMismatch, StoreUnavailable
from pilotlight.store import Sink
from time_limit import within


class Received:
    def __init__(self) -> None:
        self.content = b""

    def write(self, chunk: bytes, /) -> None:
        self.content += chunk


def test_what_is_done_in_time_arrives() -> None:
    sink = Received()
    within(10.0, sink, lambda gate: gate.write(b"ab"))
    assert sink.content == b"ab"


def test_what_goes_wrong_is_raised_where_somebody_waits() -> None:
    def fail(_: Sink) -> None:
        raise DigestMismatch("other bytes")

    with pytest.raises(DigestMismatch, match="other bytes"):
        within(10.0, Received(), fail)


def test_what_comes_too_late_does_not_arrive_any_more() -> None:
    sink, go_on, ended = Received(), threading.Event(), threading.Event()
    refused: list[Exception] = []

    def fetch(gate: Sink) -> None:
        gate.write(b"a")
        go_on.wait(30)
        try:
            gate.write(b"b")
        except StoreUnavailable as error:
            refused.append(error)
        ended.set()

    with pytest.raises(StoreUnavailable, match="did not deliver within 0.1 s"):
        within(0.1, sink, fetch)
    go_on.set()
    assert ended.wait(30)
    assert sink.content == b"a"
    assert len(refused) == 1


def test_without_any_time_left_there_is_no_waiting() -> None:
    go_on = threading.Event()
    with pytest.raises(StoreUnavailable):
        within(-1.0, Received(), lambda _: go_on.wait(30))
    go_on.set()
