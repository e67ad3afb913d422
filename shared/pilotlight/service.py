"""One file answers what goes in and what comes out: `Service.handle(Request) -> Response`."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pilotlight.answers import Action, Answer, Values, predicted
from pilotlight.body import read_body
from pilotlight.decode import read_instance, read_instances
from pilotlight.description import Description
from pilotlight.encode import check_outputs, predictions, probabilities, probability, to_json
from pilotlight.errors import MethodNotAllowed, NotFound, RequestError, TooLarge
from pilotlight.fields import read_fields
from pilotlight.frozen import EMPTY, TYPE_CHECKING, dataclass
from pilotlight.loading import Loader
from pilotlight.manners import compressed, cross_origin, expanded, identify, traced
from pilotlight.messages import Request, Response
from pilotlight.reader import describe
from pilotlight.records import Report, Served
from pilotlight.routes import Route, find
from pilotlight.tensor import Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from pilotlight.golden import Sample

# Seconds: how long a request waits for the model where the platform names no deadline, what it keeps of a deadline to
# answer, and how long a probe waits.
_PATIENCE = 25.0
_RESERVE = 0.5
_PROBE_PATIENCE = 1.0

# Seconds that a model has at least, out of what is kept to answer: most need a thousandth of it.
_LEAST = 0.2

_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Call:
    """A request on its way: its id, its route if there is one, and when it came."""

    request: Request
    id: str
    route: Route | None
    began: float


class Service:
    """A model behind HTTP, on no provider in particular. Threads may call it at the same time."""

    def __init__(
        self,
        model: Description,
        loader: Loader,
        report: Report,
        *,
        max_body_bytes: int,
        clock: Callable[[], float],
        golden: Path | None = None,
        cors_origins: Sequence[str] = (),
    ) -> None:
        """`clock` is monotonic and in seconds: the one on which a Request's deadline lies.

        A body of more than `max_body_bytes` is refused: a function folder need not hand over more than a byte above it.
        `golden` is the file of the golden samples; one of them becomes the example in the OpenAPI document.
        `cors_origins` are those whose pages may call from a browser, or `*`.
        """
        self._described = model
        self._loader = loader
        self._report = report
        self.max_body_bytes = max_body_bytes
        self._clock = clock
        self._golden = golden
        self._cors_origins = cors_origins
        self._own: dict[str, Callable[[Request], Answer]] = {
            "/predict": self._predict,
            "/predict_batch": self._predict_batch,
            "/health": self._ready,
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/health/startup": self._ready,
            "/ping": self._ready,
        }

    @property
    def model(self) -> Description:
        """See `answers.Plane`."""
        return self._described

    @property
    def sample(self) -> Sample | None:
        """See `answers.Plane`."""
        from pilotlight.golden import first_sample  # noqa: PLC0415 - hardly a request needs it

        return first_sample(self._golden)

    def handle(self, request: Request) -> Response:
        """Answer a request. It never raises: what goes wrong inside becomes a 500 and a line in the log."""
        call, values = self._call(request)
        try:
            answer = self._route(request, call.route, values)
            body = self._encode(answer)
        except RequestError as error:
            cause = error.__cause__
            answer = _refusal(error, call.id, "" if cause is None else f"{type(cause).__name__}: {cause}")
            body = to_json(answer.document)
        except Exception:  # noqa: BLE001 - the one place; nothing that a caller sends may end the process
            answer = _refusal(_Internal("the request could not be answered"), call.id, traceback.format_exc())
            body = to_json(answer.document)
        return self._reply(call, answer, body)

    def refuse(self, request: Request, error: RequestError) -> Response:
        """Answer a request that a function folder could not translate as a whole, so that its error has our shape."""
        call, _ = self._call(request)
        answer = _refusal(error, call.id)
        return self._reply(call, answer, to_json(answer.document))

    def _call(self, request: Request) -> tuple[_Call, Values]:
        route, values = find(request.path) or (None, EMPTY)
        return _Call(request, identify(request), route, self._clock()), values

    def _encode(self, answer: Answer) -> bytes:
        body = to_json(answer.document) if answer.body is None else answer.body
        if answer.rows and len(body) > self.max_body_bytes:
            raise TooLarge(
                f"the reply would have {len(body)} bytes, the limit is {self.max_body_bytes}; send fewer rows"
            )
        return body

    def _reply(self, call: _Call, answer: Answer, body: bytes) -> Response:
        """Leave a record, and make the reply."""
        request = call.request
        headers = {**_JSON, "x-request-id": call.id, **answer.headers}
        body = compressed(request, headers, body)
        if self._cors_origins:
            headers |= cross_origin(request, call.route, self._cors_origins, headers)
        if request.method == "HEAD":
            body = b""
        record = Served(
            request_id=call.id,
            method=request.method,
            route=call.route.path if call.route else "",
            status=answer.status,
            latency_ms=round((self._clock() - call.began) * 1000, 3),
            model_name=self._described.name,
            model_version=self._described.version,
            rows=answer.rows,
            out_of_range=answer.out_of_range,
            request_bytes=len(request.body),
            response_bytes=len(body),
            code=answer.code,
            error=answer.fault,
            trace=traced(request, call.id),
        )
        with suppress(Exception):  # a log that cannot be written is no reason to lose an answer
            self._report(record)
        return Response(answer.status, headers, body)

    def _route(self, request: Request, route: Route | None, values: Values) -> Answer:
        if route is None:
            raise NotFound(f"there is no route {describe(request.path)}")
        if request.method == "OPTIONS":
            return Answer(204, headers={"allow": ", ".join(route.methods)}, body=b"")
        if request.method not in route.methods:
            raise MethodNotAllowed(f"{request.path} takes {route.method}, not {request.method}", route.methods)
        if len(request.body) > self.max_body_bytes:
            raise TooLarge(f"the body has more than {self.max_body_bytes} bytes, which is the limit")
        if route.takes:
            request = expanded(request, self.max_body_bytes)
        own = self._own.get(route.path)
        return own(request) if own is not None else _actions(route.path)[route.path](self, request, values)

    def _predict(self, request: Request) -> Answer:
        inputs = read_instance(self._described.signature, _field(request, "features"), "$.features")
        outputs = self.run(request, inputs, 1)
        labels = self._described.signature.labels
        (prediction,) = predictions(self._described.signature, outputs)
        document: dict[str, object] = {"prediction": prediction}
        rows = probabilities(self._described.signature, outputs)
        if rows is not None:
            document |= {"probability": probability(labels, prediction, rows[0]), "probabilities": rows[0]}
        return predicted(self._described, document | self._name(), outputs, 1)

    def _predict_batch(self, request: Request) -> Answer:
        instances = _field(request, "instances")
        inputs = read_instances(self._described.signature, instances, "$.instances")
        rows = inputs[0].shape[0]
        outputs = self.run(request, inputs, rows)
        document: dict[str, object] = {"predictions": predictions(self._described.signature, outputs)}
        columns = probabilities(self._described.signature, outputs)
        if columns is not None:
            document["probabilities"] = columns
        return predicted(self._described, document | self._name(), outputs, rows)

    def run(self, request: Request, inputs: Sequence[Tensor], rows: int | None) -> tuple[Tensor, ...]:
        """See `answers.Plane`."""
        deadline = request.deadline - _RESERVE if request.deadline is not None else self._clock() + _PATIENCE
        model = self._loader.model(deadline, request.trace)
        outputs = model.predict(inputs, max(deadline - self._clock(), _LEAST))
        check_outputs(self._described.signature, outputs, rows)
        return outputs

    def check_ready(self, request: Request) -> None:
        """See `answers.Plane`. A probe waits for what it sets going: between requests Lambda stops."""
        if self._loader.state != "ready":
            self._loader.poke(self._clock() + _PROBE_PATIENCE, request.trace)
        if self._loader.state != "ready":
            raise self._loader.not_ready()

    def _name(self) -> dict[str, object]:
        return {"model_name": self._described.name, "model_version": self._described.version}

    def _live(self, _request: Request) -> Answer:
        return Answer(200, {"status": "live", **self._name()})

    def _ready(self, request: Request) -> Answer:
        self.check_ready(request)
        return Answer(200, {"status": "ready", **self._name()})


def _actions(path: str) -> Mapping[str, Action]:
    """What a dialect's routes do. It is imported with its first request: a cold start need not pay for all of them."""
    if path.startswith("/v2"):
        from pilotlight import v2  # noqa: PLC0415

        return v2.ACTIONS
    if path == "/" or path.startswith("/v1"):
        from pilotlight import v1  # noqa: PLC0415

        return v1.ACTIONS
    if path == "/openapi.json":
        from pilotlight import openapi  # noqa: PLC0415

        return openapi.ACTIONS
    from pilotlight import mlflow  # noqa: PLC0415

    return mlflow.ACTIONS


def _field(request: Request, name: str) -> object:
    """The one field that a body has."""
    return read_fields(read_body(request.headers, request.body), "$", (name,))[name]


def _refusal(error: RequestError, request_id: str, fault: str = "") -> Answer:
    document = {"error": error.message, "code": error.code, "path": error.path, "request_id": request_id}
    return Answer(error.status, document, code=error.code, fault=fault, headers=error.headers())


class _Internal(RequestError):
    """500: its sentence is fixed, and what happened is for the log alone."""

    status = 500
    code = "internal"
