"""The HTTP examples of a page, and functions in every situation that they show."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from docs.pages import Block
from doubles import MemoryFeatures, MemoryStore, Records, service
from pilotlight.boot import Platform, boot
from pilotlight.errors import ObjectRefused, PredictionTimeout, RequestTimeout, StoreUnavailable
from pilotlight.features.lookup import FeatureLookup
from pilotlight.features.plan import Key, read_plan
from pilotlight.features.values import Stored
from pilotlight.fetch import ObjectStore, Sink
from pilotlight.http.messages import Request, Response
from pilotlight.model.lock import Description, load_lock
from pilotlight.model.tensor import Tensor
from pilotlight.service import Service
from repository import LOCK, SAMPLE


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the reply that a page shows for it: status line, headers and body as text."""

    place: str
    given: str
    request: Request
    reply: str


def exchanges(blocks: Sequence[Block]) -> Iterator[Exchange]:
    """Yield the pairs of `http` blocks: a request, then its reply."""
    http_blocks = iter(block for block in blocks if block.language == "http")
    for request in http_blocks:
        reply = next(http_blocks, None)
        if reply is None or not reply.text.startswith("HTTP/1.1 ") or request.text.startswith("HTTP/1.1 "):
            raise ValueError(f"{request.place}: expected a request and then a reply")
        yield Exchange(request.place, request.note, _request(request.text), reply.text)


def _request(text: str) -> Request:
    head, _, body = text.partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split()
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Request(method, path, headers, body.strip().encode())


def over_http(url: str, request: Request) -> Response:
    """Return the response of a function behind HTTP."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=90)
    try:
        connection.request(request.method, request.path, request.body or None, dict(request.headers))
        reply = connection.getresponse()
        return Response(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def as_text(response: Response, shown: str) -> str:
    """Return a response as a page shows it, with the headers of the page only: platforms add more."""
    first, *lines = shown.partition("\n\n")[0].splitlines()
    names = [line.partition(":")[0] for line in lines]
    headers = [f"{name}: {response.headers[name]}" for name in names if name in response.headers]
    reason = first.split(" ", 2)[2]  # only for people, and not the same on every server
    return "\n".join([f"HTTP/1.1 {response.status} {reason}", *headers, "", response.body.decode()]) + "\n"


def over_core(service: Service, request: Request, given: str) -> Response:
    """Return the response of the core, by a deadline for a busy machine, or a short one for an unreachable store."""
    if given == _LATE_BODY:
        return service.refuse(request, RequestTimeout())
    return service.handle(replace(request, deadline=time.monotonic() + (1.5 if given == _UNREACHABLE else 60)))


def in_situation(given: str, folder: Path) -> Service:
    """Return the core in one of the situations on a page. `folder` is for its temporary files."""
    return _SITUATIONS[given](folder)


def _sample(folder: Path) -> Service:
    return _booted(_SampleFolder(), folder, {}, deadline=30)


def _limited(folder: Path) -> Service:
    return _booted(_SampleFolder(), folder, {"PILOTLIGHT_MAX_BODY_BYTES": "200"}, deadline=30)


def _cross_origin(folder: Path) -> Service:
    return _booted(_SampleFolder(), folder, {"PILOTLIGHT_CORS_ORIGINS": "https://example.com"}, deadline=30)


def _by_reference(folder: Path) -> Service:
    return _booted(_SampleFolder(), folder, {"PILOTLIGHT_INPUT_PREFIXES": "gs://inputs/"}, deadline=30)


def _unreachable(folder: Path) -> Service:
    """Use a store that never delivers."""
    return _booted(MemoryStore({}, [StoreUnavailable("no route to the store")] * 1000), folder, {}, deadline=0.05)


def _altered(folder: Path) -> Service:
    """Use a store that is unreachable at the start, and then has other bytes than the pinned ones."""
    pinned = _pinned()
    other = {pinned.key(file.name): b"other bytes" for file in pinned.files}
    return _booted(MemoryStore(other, [StoreUnavailable("no route to the store")]), folder, {}, deadline=0.05)


def _failing(_folder: Path) -> Service:
    def fail(_inputs: Sequence[Tensor]) -> NoReturn:
        raise RuntimeError("something inside the model")

    return service(_pinned().signature, fail)


def _looking_up(folder: Path) -> Service:
    """Use a store that has the features of two patients, one of them as words."""
    names = _pinned().signature.feature_names
    lines = ['store = "redis://unused"', 'key = "{patient_id}"', "[entity]", 'patient_id = "INT64"', "[features]"]
    plan = read_plan("\n".join([*lines, *(f'"{name}" = {{}}' for name in names)]).encode(), _pinned().signature)
    rows: dict[Key, Stored] = {(17,): dict.fromkeys(names, 1.5), (18,): dict.fromkeys(names, "large")}
    lookup = FeatureLookup(plan, MemoryFeatures(rows), clock=time.monotonic, now=time.time)
    made = _sample(folder)
    made.plane.features = lookup
    return made


def _endless(_folder: Path) -> Service:
    def be_stopped(_inputs: Sequence[Tensor]) -> NoReturn:
        raise PredictionTimeout

    return service(_pinned().signature, be_stopped)


_UNREACHABLE = "the store cannot be reached"
_LATE_BODY = "the body is late"

_SITUATIONS: dict[str, Callable[[Path], Service]] = {
    "": _sample,
    "PILOTLIGHT_MAX_BODY_BYTES=200": _limited,
    "PILOTLIGHT_CORS_ORIGINS=https://example.com": _cross_origin,
    "PILOTLIGHT_INPUT_PREFIXES=gs://inputs/": _by_reference,
    _UNREACHABLE: _unreachable,
    _LATE_BODY: _sample,
    "the store has other bytes": _altered,
    "features are looked up by patient_id": _looking_up,
    "the model fails": _failing,
    "the model loops": _endless,
}


class _SampleFolder:
    """The sample's folder in the repository, as a store."""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        assert timeout > 0
        _, separator, file = key.rpartition("/")
        if not separator:
            raise ObjectRefused(f"{key} is not there")
        sink.restart("")
        sink.write(0, (SAMPLE / file).read_bytes())


def _pinned() -> Description:
    return load_lock(LOCK).model


def _booted(store: ObjectStore, folder: Path, settings: Mapping[str, str], deadline: float) -> Service:
    platform = Platform(
        folder=LOCK.parent,
        stores={"gs": lambda _: store},
        reporter=lambda _level, _namespace: Records(),
        deadline=deadline,
        started=time.monotonic(),
    )
    found, _ = boot(platform, {"PILOTLIGHT_STORE": "gs://models", "TMPDIR": str(folder), **settings})
    return found
