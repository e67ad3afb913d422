"""What goes into the core and what comes out (`Service.handle(Request) -> Response`), and a route's `Answer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from pilotlight.codec.encode import count_out_of_range
from pilotlight.errors import NotFound
from pilotlight.frozen import EMPTY, TYPE_CHECKING, dataclass
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor

if TYPE_CHECKING:
    from pilotlight.dataplane import DataPlane


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route makes of a request; the service turns it into a Response and a record.

    The body is `document` as JSON, or `body` where a route has made the bytes itself; `headers` then say what they are.
    An error has its `code` and perhaps `headers`; `fault` is a traceback, for the log alone.
    """

    status: int
    document: Mapping[str, object] = EMPTY
    rows: int = 0
    out_of_range: int = 0
    code: str = ""
    fault: str = ""
    headers: Mapping[str, str] = EMPTY
    body: bytes | None = None


Values: TypeAlias = Mapping[str, str]
Action: TypeAlias = "Callable[[DataPlane, Request, Values], Answer]"
"""What a route does. The last argument holds what stands in the path for `m` and `v`."""


def check_model(model: Description, values: Values) -> None:
    """Refuse a path that names another model or version than the one that is served."""
    if values["m"] != model.name:
        raise NotFound(f"there is no model {describe(values['m'])}, this function serves {describe(model.name)}")
    version = values.get("v")
    if version is not None and version != str(model.version):
        raise NotFound(
            f"there is no version {describe(version)} of {describe(model.name)}, this function serves {model.version}"
        )


def predicted(model: Description, document: Mapping[str, object], outputs: Sequence[Tensor], rows: int) -> Answer:
    """The answer to a prediction."""
    return Answer(200, document, rows, count_out_of_range(model.signature, outputs))
