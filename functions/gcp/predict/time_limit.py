"""A limit for what has none: the look-up of a name, headers that come byte by byte, what a client does by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pilotlight.errors import StoreUnavailable
from pilotlight.store import Sink


class _Gate:
    """A sink that can be shut."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._is_open = True
        self._lock = threading.Lock()

    def write(self, chunk: bytes, /) -> None:
        with self._lock:
            if not self._is_open:
                raise StoreUnavailable("nobody waits for these bytes any more")
            self._sink.write(chunk)

    def shut(self) -> None:
        with self._lock:
            self._is_open = False


def within(seconds: float, sink: Sink, fetch: Callable[[Sink], object]) -> None:
    """Fetch in a thread of its own, and raise StoreUnavailable when it takes longer: nothing reaches `sink` then.

    What `fetch` raises is raised here. The thread is left to end by itself; it imports nothing, since a fork meanwhile
    would leave an import's lock to the child for ever.
    """
    gate = _Gate(sink)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            fetch(gate)
        except BaseException as error:  # noqa: BLE001 - raised below, where somebody waits
            raised.append(error)

    thread = threading.Thread(target=run, name="fetch", daemon=True)
    thread.start()
    thread.join(max(seconds, 0))
    if thread.is_alive():
        gate.shut()
        if thread.is_alive():
            raise StoreUnavailable(f"the store did not deliver within {seconds:.1f} s")
    if raised:
        raise raised[0]
