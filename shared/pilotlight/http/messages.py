"""The messages of the core (`Service.handle(Request) -> Response`), and its routes' actions and answers."""

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
    """An HTTP request, independent of the provider.

    `headers` have lower-case names. `path` is absolute, decoded, without query or stage. `id` is the platform's
    request id, or empty. `deadline` is when the platform gives up, on the clock of `time.monotonic`, or None. `trace`
    has the platform's fields for every log line of this request. `is_text_only`: the platform passes on no bytes that
    are not text. `reply_limit` is the platform's own limit of a reply's body in bytes, or None. `claims` are what an
    authorizer in front says of the caller.
    """

    method: str
    path: str
    headers: Mapping[str, str] = EMPTY
    body: bytes = b""
    id: str = ""
    deadline: float | None = None
    trace: Mapping[str, object] = EMPTY
    is_text_only: bool = False
    reply_limit: int | None = None
    claims: Mapping[str, object] = EMPTY


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, independent of the provider. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a route, from which the service makes a Response and a record.

    The body is `document` as JSON, or `body` if a route has encoded it itself; `headers` then describe it. An error has
    its `code` and perhaps `headers`; `fault` is a traceback, for the log only.
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
"""A route's function. The last argument has the values of `m` and `v` in the path."""


def check_model(model: Description, values: Values) -> None:
    """Raise NotFound if the path names another model or version than the served one."""
    if values["m"] != model.name:
        raise NotFound(f"unknown model {describe(values['m'])}, this function serves {describe(model.name)}")
    version = values.get("v")
    if version is not None and version != str(model.version):
        raise NotFound(
            f"unknown version {describe(version)} of {describe(model.name)}, this function serves {model.version}"
        )


def predicted(model: Description, document: Mapping[str, object], outputs: Sequence[Tensor], rows: int) -> Answer:
    """Return the result of a prediction."""
    return Answer(200, document, rows, count_out_of_range(model.signature, outputs))
