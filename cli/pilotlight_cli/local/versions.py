"""The published versions of a model that the page of `pilotlight serve` asks, each served when it is first chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, Description
from pilotlight_cli import console
from pilotlight_cli.local.front import with_page, with_versions
from pilotlight_cli.local.page import page, title
from pilotlight_cli.local.server import serving
from pilotlight_cli.pinning.pin import REQUIREMENTS, pin
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.registry.versions import NotPublished, resolve, version_numbers
from pilotlight_cli.signing.demanded import demanded_keys
from pilotlight_cli.signing.stored import read_verified
from pilotlight_cli.staging.sources import beside
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MOST_RUNNING = 4  # beside the pinned one
_SECONDS = 60.0  # for a response


@dataclass(frozen=True, slots=True)
class Served:
    """A version, and the URL on which it answers: empty for the pinned one, which the page's own address is."""

    model: Description
    golden: Golden
    url: str = ""


Start = Callable[[str], AbstractContextManager[Served]]


class Versions:
    """The pinned version, and others that start when they are first asked. The last ones shown go on running."""

    def __init__(
        self, pinned: Served, start: Start, numbers: Callable[[], tuple[int, ...]], compared: str = ""
    ) -> None:
        """`start` serves NAME:VERSION, `numbers` lists what is published, `compared` is shown beside the pinned one."""
        self._pinned = pinned
        self._start = start
        self._numbers = numbers
        self._compared = compared
        self._running: dict[str, tuple[Served, ExitStack]] = {}  # the last shown comes last
        # The processes of a version end with the thread that started them, so one thread starts them all.
        self._starting = ThreadPoolExecutor(1, "versions")

    def in_front(self, application: WSGIApplication) -> WSGIApplication:
        """Put the page and the versions in front of the pinned version."""
        return with_page(with_versions(application, self._url_of, _SECONDS), self._page)

    def show(self, name: str) -> Served:
        """Return a version that answers, started if it does not run. Raise what starting it raises."""
        if name == title(self._pinned.model):
            return self._pinned
        return self._starting.submit(self._show, name).result()

    def close(self) -> None:
        """End all but the pinned one."""
        self._starting.submit(self._end, 0).result()
        self._starting.shutdown()

    def _page(self, query: Mapping[str, str]) -> bytes:
        pinned = title(self._pinned.model)
        shown = self.show(query.get("version") or pinned)
        name = query.get("beside", self._compared)
        other = self.show(name).model if name else None
        return page(shown.model, shown.golden, other, pinned=pinned, versions=self._names())

    def _names(self) -> list[str]:
        """Return what can be chosen, the newest first."""
        names = [f"{self._pinned.model.name}:{number}" for number in reversed(self._numbers())]
        return names if not self._compared or self._compared in names else [*names, self._compared]

    def _url_of(self, name: str) -> str:
        running = self._running.get(name)
        return running[0].url if running else self.show(name).url

    def _show(self, name: str) -> Served:
        if name not in self._running:
            names = self._names()
            if name not in names:
                raise NotPublished(f"{name} is not published; expected one of {', '.join(names)}")
            self._end(_MOST_RUNNING - 1)
            with ExitStack() as stack:
                served = stack.enter_context(self._start(name))
                self._running[name] = (served, stack.pop_all())
        self._running[name] = self._running.pop(name)
        return self._running[name][0]

    def _end(self, kept: int) -> None:
        """End those that were shown before the last `kept` ones."""
        for name in list(self._running)[: max(0, len(self._running) - kept)]:
            self._running.pop(name)[1].close()


@contextmanager
def versions_of(pinned: Served, cloud: str, lock: Path, store: str, compared: str) -> Iterator[Versions]:
    """Give the versions that a store has of the pinned model; `compared` starts at once, if given."""
    numbers = partial(version_numbers, open_store(store), pinned.model.name)
    versions = Versions(pinned, partial(_serve, cloud, lock, store), numbers, compared)
    try:
        if compared:
            versions.show(compared)
        yield versions
    finally:
        versions.close()


@contextmanager
def _serve(cloud: str, lock: Path, store: str, name: str) -> Iterator[Served]:
    """Serve a version of the lock's store, pinned in a temporary folder. The lock's project may demand a signer."""
    console.messages().print(f"Starting {name}", soft_wrap=True)
    source = open_store(store)
    if keys := demanded_keys(lock.resolve().parent):
        found = resolve(source, name).model
        read_verified(source, found.name, found.version, keys)
    with TemporaryDirectory(prefix="pilotlight-") as folder:
        second = Path(folder) / "model.lock"
        second.with_name(REQUIREMENTS).write_bytes(beside(lock, REQUIREMENTS))
        model = pin(source, name, second).lock.model
        with serving(cloud, second, store) as server:
            yield Served(model, golden_of(model.signature, beside(second, GOLDEN)), server.url)
