"""The one way in and the one way out of the core: `Service.handle(Request) -> Response`."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.frozen import EMPTY, dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, free of any provider.

    `headers` have lower-case names. `path` is absolute, decoded, without query or stage. `id` is the platform's
    request id, or empty. `deadline` is when the platform gives up, on `time.monotonic`'s clock, or None. `trace` holds
    fields that the platform wants in every log line of this request.
    """

    method: str
    path: str
    headers: Mapping[str, str] = EMPTY
    body: bytes = b""
    id: str = ""
    deadline: float | None = None
    trace: Mapping[str, object] = EMPTY


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP reply, free of any provider. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
