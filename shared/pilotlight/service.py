"""The service: `Service.handle(Request) -> Response`."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pilotlight.codec.encode import to_json
from pilotlight.dataplane import DataPlane, ReadObject
from pilotlight.errors import Internal, MethodNotAllowed, NotFound, RequestError, TooLarge
from pilotlight.frozen import EMPTY, TYPE_CHECKING, replace
from pilotlight.http.headers import choose_request_id, compress, cross_origin_headers, decompress, log_trace
from pilotlight.http.messages import Action, Answer, Request, Response, Values
from pilotlight.http.routes import Route, find
from pilotlight.model.json_document import describe
from pilotlight.model.lock import Description
from pilotlight.protocols import predict
from pilotlight.start.loading import Loader
from pilotlight.telemetry import Report, Served

if TYPE_CHECKING:
    from pathlib import Path

    from pilotlight.experiments.variants import Experiment
    from pilotlight.features.lookup import FeatureLookup

_JSON = {"content-type": "application/json"}


class _Call:
    """A request in progress: its id, its route or None, its start on the clock, and the model that answers it.

    An experiment changes `model`, and adds the variant and fields of the log line.
    """

    __slots__ = ("experiment", "id", "model", "request", "route", "started", "variant")

    def __init__(
        self, request: Request, request_id: str, route: Route | None, started: float, model: Description
    ) -> None:
        self.request = request
        self.id = request_id
        self.route = route
        self.started = started
        self.model = model
        self.variant = ""
        self.experiment: Mapping[str, object] = EMPTY


class Service:
    """A model behind HTTP, independent of the provider. Threads may call it at the same time."""

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
        base_path: str = "",
        read_object: ReadObject | None = None,
        experiment: Experiment | None = None,
        features: FeatureLookup | None = None,
    ) -> None:
        """`clock` is the monotonic clock of a Request's deadline, in seconds.

        A body of more than `max_body_bytes` is refused; a function folder may cut it off one byte above that.
        `golden` is the file of the golden samples; one of them becomes the example in the OpenAPI document.
        `cors_origins` are the origins whose pages may call from a browser, or `*`. `base_path` may precede every
        route's path: a domain's mapping or a load balancer's rule. `read_object` reads inputs by reference; None
        refuses them. `experiment` chooses among several versions, `features` looks features up. With any of them a
        request may wait for a store (`may_wait`), though the model is ready; a server that lets requests wait for each
        other sets it too.
        """
        self.model = model
        self.plane = DataPlane(model, loader, clock=clock, golden=golden, read_object=read_object, features=features)
        self.report = report
        self.max_body_bytes = max_body_bytes
        self.may_wait = any(one is not None for one in (read_object, experiment, features))
        self._clock = clock
        self._cors_origins = cors_origins
        self._base_path = base_path
        self._experiment = experiment

    def handle(self, request: Request) -> Response:
        """Answer a request. Never raise: an internal error becomes a 500 and a line in the log."""
        call, values = self._call(request)
        try:
            answer = self._route(call, values)
            body = self._encode(answer, request.reply_limit)
        except RequestError as error:
            cause = error.__cause__
            answer = _refusal(error, call, "" if cause is None else f"{type(cause).__name__}: {cause}")
            body = to_json(answer.document)
        except Exception:  # noqa: BLE001 - the one place: no request may end the process
            answer = _refusal(Internal("the request could not be answered"), call, traceback.format_exc())
            body = to_json(answer.document)
        return self._reply(call, answer, body)

    def refuse(self, request: Request, error: RequestError) -> Response:
        """Answer a request that a function folder could not translate, so that its error has the usual shape."""
        call, _ = self._call(request)
        answer = _refusal(error, call)
        return self._reply(call, answer, to_json(answer.document))

    def find(self, path: str) -> tuple[Route, Values] | None:
        """Return the route of a request's path and the values in the path, or None."""
        if self._base_path and f"{path}/".startswith(f"{self._base_path}/"):
            path = path[len(self._base_path) :] or "/"
        return find(path)

    def _call(self, request: Request) -> tuple[_Call, Values]:
        route, values = self.find(request.path) or (None, EMPTY)
        return _Call(request, choose_request_id(request), route, self._clock(), self.model), values

    def _encode(self, answer: Answer, platform_limit: int | None) -> bytes:
        body = to_json(answer.document) if answer.body is None else answer.body
        limit = self.max_body_bytes if platform_limit is None else min(platform_limit, self.max_body_bytes)
        if len(body) > limit:
            raise response_too_large(len(body), limit, answer.rows)
        return body

    def _reply(self, call: _Call, answer: Answer, body: bytes) -> Response:
        """Report the request, and make the response."""
        request = call.request
        headers = {**_JSON, "x-request-id": call.id, **answer.headers}
        if call.variant:
            headers["x-pilotlight-variant"] = call.variant
        body = compress(request, headers, body)
        if self._cors_origins:
            headers |= cross_origin_headers(request, call.route, self._cors_origins, headers)
        if request.method == "HEAD":
            body = b""
        record = Served(
            request_id=call.id,
            method=request.method,
            route=call.route.path if call.route else "",
            status=answer.status,
            latency_ms=round((self._clock() - call.started) * 1000, 3),
            model_name=call.model.name,
            model_version=call.model.version,
            rows=answer.rows,
            out_of_range=answer.out_of_range,
            request_bytes=len(request.body),
            response_bytes=len(body),
            code=answer.code,
            error=answer.fault,
            trace=log_trace(request, call.id),
            experiment=call.experiment,
        )
        with suppress(Exception):  # a failing log must not fail the request
            self.report(record)
        return Response(answer.status, headers, body)

    def _route(self, call: _Call, values: Values) -> Answer:
        request, route, plane = call.request, call.route, self.plane
        if route is None:
            raise NotFound(f"unknown route {describe(request.path)}")
        if request.method == "OPTIONS":
            return Answer(204, headers={"allow": ", ".join(route.methods)}, body=b"")
        if request.method not in route.methods:
            advice = f"; send instances to {self._base_path}/predict" if route.path == "/" else ""
            message = f"{request.path} accepts {route.method}, not {request.method}{advice}"
            raise MethodNotAllowed(message, route.methods)
        if len(request.body) > self.max_body_bytes:
            raise TooLarge(f"the body exceeds the limit of {self.max_body_bytes} bytes")
        if route.accepts:
            request = decompress(request, self.max_body_bytes)
        if self._experiment is not None and (route.accepts or "v" in values):
            choice = self._experiment.choose(plane, request, values)
            plane, request = choice.plane, choice.request
            call.model, call.variant, call.experiment = plane.model, choice.variant, choice.fields
        answer = _actions(route.path)[route.path](plane, request, values)
        if self._experiment is not None and route.path == "/health":
            return replace(answer, document={**answer.document, "variants": self._experiment.states()})
        return answer


def _actions(path: str) -> Mapping[str, Action]:
    """Return the actions of a route's protocol. All but `predict` are imported with their first request."""
    if path in predict.ACTIONS:
        return predict.ACTIONS
    if path.startswith("/v2"):
        from pilotlight.protocols.v2 import routes  # noqa: PLC0415

        return routes.ACTIONS
    if path == "/" or path.startswith("/v1"):
        from pilotlight.protocols import v1  # noqa: PLC0415

        return v1.ACTIONS
    if path == "/openapi.json":
        from pilotlight.protocols.openapi import document  # noqa: PLC0415

        return document.ACTIONS
    if path == "/bigquery":
        from pilotlight.protocols import bigquery  # noqa: PLC0415

        return bigquery.ACTIONS
    from pilotlight.protocols import mlflow  # noqa: PLC0415

    return mlflow.ACTIONS


def _refusal(error: RequestError, call: _Call, fault: str = "") -> Answer:
    document = {"error": error.message, "code": error.code, "path": error.path, "request_id": call.id}
    if call.route and call.route.accepts == "bigquery calls":  # BigQuery shows one text of at most 1 kB
        message = f"{error.path}: {error.message}" if error.path else error.message
        document["errorMessage"] = message.encode()[:1000].decode(errors="ignore")
    return Answer(error.status, document, code=error.code, fault=fault, headers=error.headers())


def response_too_large(size: int, limit: int, rows: int) -> TooLarge:
    """Return the error for a response of more bytes than the limit."""
    advice = "; send fewer rows" if rows > 1 else ""
    return TooLarge(f"the response would have {size} bytes, the limit is {limit}{advice}")
