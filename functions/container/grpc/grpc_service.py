"""The methods of the Open Inference Protocol V2 over gRPC: each is a route of V2 over HTTP.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

import os
import traceback
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

import cloud_logging
import grpc_inference_pb2 as pb
from grpc_codes import CODES, details
from grpc_tensors import read_request, write_response
from pilotlight.codec.encode import count_out_of_range
from pilotlight.dataplane import DataPlane
from pilotlight.errors import Internal, InvalidRequest, NotReady, PredictionTimeout, RequestError
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.http.headers import choose_request_id, log_trace
from pilotlight.http.messages import Request, check_model
from pilotlight.protocols.v2 import routes
from pilotlight.service import Service, response_too_large
from pilotlight.telemetry import Served

NAME: str = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

# Seconds: a longer deadline is none.
_LONGEST = 86_400.0

# What a request's bytes become that are no message of its method.
_MALFORMED = object()


@dataclass(frozen=True, slots=True)
class _Answer:
    """A method's response, how many rows were predicted, and how many of them are outside the published range."""

    message: Any
    rows: int = 0
    out_of_range: int = 0


_Method: TypeAlias = "Callable[[DataPlane, Any, Request], _Answer]"
"""A method's function. Raise RequestError."""


def _act(path: str, plane: DataPlane, call: Request, values: Mapping[str, str] = EMPTY) -> Mapping[str, Any]:
    """Return the document of a route of V2."""
    return routes.ACTIONS[path](plane, call, values).document


def _named(name: str, version: str) -> dict[str, str]:
    return {"m": name, "v": version} if version else {"m": name}


def _server_live(plane: DataPlane, _message: pb.ServerLiveRequest, call: Request) -> _Answer:
    return _Answer(pb.ServerLiveResponse(**_act("/v2/health/live", plane, call)))


def _server_ready(plane: DataPlane, _message: pb.ServerReadyRequest, call: Request) -> _Answer:
    return _Answer(pb.ServerReadyResponse(ready=_is_ready(plane, call)))


def _model_ready(plane: DataPlane, message: pb.ModelReadyRequest, call: Request) -> _Answer:
    check_model(plane.model, _named(message.name, message.version))
    return _Answer(pb.ModelReadyResponse(ready=_is_ready(plane, call)))


def _is_ready(plane: DataPlane, call: Request) -> bool:
    try:
        plane.check_ready(call.trace)
    except NotReady:
        return False
    return True


def _server_metadata(plane: DataPlane, _message: pb.ServerMetadataRequest, call: Request) -> _Answer:
    document = {**_act("/v2", plane, call), "extensions": []}  # those of HTTP are no extensions here
    return _Answer(pb.ServerMetadataResponse(**document))


def _model_metadata(plane: DataPlane, message: pb.ModelMetadataRequest, call: Request) -> _Answer:
    values = _named(message.name, message.version)
    return _Answer(pb.ModelMetadataResponse(**_act("/v2/models/{m}", plane, call, values)))


def _model_infer(plane: DataPlane, message: pb.ModelInferRequest, call: Request) -> _Answer:
    model = plane.model
    check_model(model, _named(message.model_name, message.model_version))
    inference = read_request(model, message)
    outputs, rows = routes.run(plane, inference, call.deadline, call.trace)
    response = write_response(model, inference, outputs, raw=bool(message.raw_input_contents))
    return _Answer(response, rows, count_out_of_range(model.signature, outputs))


_METHODS: Mapping[str, tuple[type[Message], _Method]] = {
    "ServerLive": (pb.ServerLiveRequest, _server_live),
    "ServerReady": (pb.ServerReadyRequest, _server_ready),
    "ModelReady": (pb.ModelReadyRequest, _model_ready),
    "ServerMetadata": (pb.ServerMetadataRequest, _server_metadata),
    "ModelMetadata": (pb.ModelMetadataRequest, _model_metadata),
    "ModelInfer": (pb.ModelInferRequest, _model_infer),
}

# Methods that may wait for the model or run it, in a thread.
_SLOW = ("ServerReady", "ModelReady", "ModelInfer")


def reader(kind: type[Message], malformed: object) -> Callable[[bytes], object]:
    """Return a deserializer that returns `malformed` for other bytes: gRPC would call them the server's fault."""

    def read(content: bytes) -> object:
        try:
            return kind.FromString(content)
        except DecodeError:
            return malformed

    return read


class Inference:
    """Answers the protocol's methods for a service."""

    def __init__(self, service: Service, pool: Executor, *, clock: Callable[[], float]) -> None:
        """`clock` is the monotonic clock of a Request's deadline, in seconds. Predictions run in threads of `pool`."""
        self._service = service
        self._pool = pool
        self._clock = clock

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of all methods."""
        methods = {
            name: grpc.unary_unary_rpc_method_handler(self._behaviour(name, method), reader(kind, _MALFORMED), bytes)
            for name, (kind, method) in _METHODS.items()
        }
        return grpc.method_handlers_generic_handler(NAME, methods)

    def _behaviour(
        self, name: str, method: _Method
    ) -> Callable[[Any, grpc.aio.ServicerContext], Coroutine[Any, Any, bytes]]:
        async def behave(message: Message, context: grpc.aio.ServicerContext) -> bytes:
            call = self._call(name, context)
            request_id = choose_request_id(call)
            work = partial(self._answer, method, message, call, request_id)
            content, error = await get_running_loop().run_in_executor(self._pool, work) if name in _SLOW else work()
            context.set_trailing_metadata(_trailers(request_id, error))
            if error is not None:
                await context.abort(CODES[error.status], details(error))
            return content

        return behave

    def _call(self, name: str, context: grpc.aio.ServicerContext) -> Request:
        """Return what the core needs to know of a call."""
        headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        remaining = context.time_remaining()
        return Request(
            "POST",
            f"/{NAME}/{name}",
            headers,
            deadline=None if remaining is None or remaining > _LONGEST else self._clock() + remaining,
            trace=cloud_logging.trace_fields(headers, os.environ),
        )

    def _answer(
        self, method: _Method, message: Message, call: Request, request_id: str
    ) -> tuple[bytes, RequestError | None]:
        """Return the bytes of the response, or the error; never raise."""
        started = self._clock()
        answer, content, fault = _Answer(None), b"", ""
        error: RequestError | None = None
        try:
            answer, content = self._run(method, message, call)
        except RequestError as caught:
            error, cause = caught, caught.__cause__
            fault = "" if cause is None else f"{type(cause).__name__}: {cause}"
        except Exception:  # noqa: BLE001 - the one place: no request may end the process
            error, fault = Internal("the request could not be answered"), traceback.format_exc()
        record = Served(
            request_id=request_id,
            method=call.method,
            route=call.path,
            status=error.status if error else 200,
            latency_ms=round((self._clock() - started) * 1000, 3),
            model_name=self._service.model.name,
            model_version=self._service.model.version,
            rows=answer.rows,
            out_of_range=answer.out_of_range,
            request_bytes=0 if message is _MALFORMED else message.ByteSize(),
            response_bytes=len(content),
            code=error.code if error else "",
            error=fault,
            trace=log_trace(call, request_id),
        )
        with suppress(Exception):  # a failing log must not fail the request
            self._service.report(record)
        return content, error

    def _run(self, method: _Method, message: Message, call: Request) -> tuple[_Answer, bytes]:
        """Return a method's answer and the bytes of its response. Raise RequestError."""
        if message is _MALFORMED:
            raise InvalidRequest(f"the bytes are not the message of {call.path}")
        if call.deadline is not None and call.deadline <= self._clock():  # it waited too long for a thread
            raise PredictionTimeout
        answer = method(self._service.plane, message, call)
        content: bytes = answer.message.SerializeToString()
        if len(content) > self._service.max_body_bytes:
            raise response_too_large(len(content), self._service.max_body_bytes, answer.rows)
        return answer, content


def _trailers(request_id: str, error: RequestError | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata behind a response: the request's id, and an error's code."""
    return (("x-request-id", request_id), *((("x-error-code", error.code),) if error else ()))
