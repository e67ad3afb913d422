"""Between a store's plain GETs and its cloud's own client, which is there for whatever those cannot do."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.errors import StoreError
from pilotlight.fetch.http_client import Connection
from pilotlight.fetch.protocol import ObjectStore, Sink, Timer, UseSdk
from pilotlight.fetch.ranges import Source, fetch_by_ranges
from pilotlight.fetch.tls import Trust


class PlainFetch:
    """Fetches by plain GETs from one store. Between fetches it keeps no connection."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        client: tuple[str, Callable[[], ObjectStore]],
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        """`url` is the store's. `client` is who takes over: a name for the log, and what imports it.

        `warn` is told when plain GETs turned out not to do.
        """
        self._url = url
        self._trust = trust
        self._client, self._load = client
        self._clock = clock
        self._warn = warn

    def __call__(self, source: Source, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.protocol.ObjectStore.fetch`: this is one, of the object that `source` asks for."""
        timer = Timer(self._clock, self._clock() + timeout)
        try:
            fetch_by_ranges(source, sink, lambda turn: Connection(self._trust, turn), timer)
        except UseSdk:
            raise
        except StoreError as error:
            raise type(error)(f"{self._url}/{key}: {error}") from error

    def unsuited(self) -> UseSdk:
        """What to raise where the environment says beforehand that plain GETs will not do."""
        return UseSdk("the environment asks for more than plain GETs can do", self._load)

    def unforeseen(self, why: str) -> UseSdk:
        """What to raise for an answer that plain GETs cannot handle."""

        def load() -> ObjectStore:
            self._warn(f"{self._url}: {why}; {self._client} is asked instead, which takes its time to import")
            return self._load()

        return UseSdk(why, load)
