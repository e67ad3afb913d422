"""Who answers in warm.py: the Lambda function's handler by each of its engines, and FastAPI with pydantic."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

from pilotlight.http.messages import Request
from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight.model.lock import Description, File, Lock, Runtime, write_lock
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.registry.json_document import to_bytes
from warm_cases import Case

_HANDLER = FUNCTIONS / "aws" / "predict"
_GOLDEN = b"{}\n"

_NAMES = {"onnxruntime-python": ("pilotlight_binding", "lambda_binding")}
_OTHER = ("pilotlight", "lambda")


class Context:
    """Lambda's, as far as the handler asks."""

    aws_request_id = "8f1f9d5a-1a1c-4f9e-a1f8-2c50f1a7b2ce"

    def get_remaining_time_in_millis(self) -> int:
        """There is time."""
        return 30_000


def handler_sides(case: Case) -> dict[str, Callable[[], bytes]]:
    """Return the handler at both levels, by each engine that serves ONNX."""
    return {
        name: call
        for engine in FORMATS["onnx"].engines
        for name, call in zip(_NAMES.get(engine, _OTHER), _handler(case, engine), strict=True)
    }


def _handler(case: Case, engine: str) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    module = start(case, engine)
    request = Request("POST", case.path, case.headers, case.body, Context.aws_request_id)
    event, context = event_of(case), Context()
    handle, handler = module["_SERVICE"].handle, module["lambda_handler"]
    return lambda: handle(request).body, lambda: handler(event, context)["body"]


def event_of(case: Case) -> dict[str, Any]:
    """Return the case's request as an event of an HTTP API."""
    binary = case.headers["content-type"] != "application/json"
    return {
        "version": "2.0",
        "rawPath": case.path,
        "headers": case.headers,
        "requestContext": {"http": {"method": "POST"}, "stage": "$default", "domainName": "api.example"},
        "body": base64.b64encode(case.body).decode() if binary else case.body.decode(),
        "isBase64Encoded": binary,
    }


def start(case: Case, engine: str) -> Mapping[str, Any]:
    """Return what the handler's module has, started with the case's model from a store in a folder."""
    folder = Path(tempfile.mkdtemp(dir=case.model.parent))
    content = case.model.read_bytes()
    model = Description(
        name="bench",
        version=1,
        format="onnx",
        files=(File("model.onnx", len(content), hashlib.sha256(content).hexdigest()),),
        runtime=Runtime("onnx", engine, {package: version(package) for package in ENGINES[engine].packages}),
        signature=case.signature,
        golden=File("golden.json", len(_GOLDEN), hashlib.sha256(_GOLDEN).hexdigest()),
    )
    (folder / "bench" / "1").mkdir(parents=True)
    (folder / model.key("model.onnx")).write_bytes(content)
    (folder / "golden.json").write_bytes(_GOLDEN)
    (folder / "model.lock").write_bytes(to_bytes(write_lock(Lock(model, model.golden.sha256))))
    if str(_HANDLER) not in sys.path:
        sys.path.append(str(_HANDLER))
    settings = {
        "PILOTLIGHT_STORE": folder.as_uri(),
        "PILOTLIGHT_LOCK": str(folder / "model.lock"),
        "PILOTLIGHT_THREADS": "1",  # as the bare run: another thread's waiting would count as the handler's time
    }
    with acting_in(settings):
        return runpy.run_path(str(_HANDLER / "handler.py"))


class _Features(BaseModel):
    features: list[float]


class _Instances(BaseModel):
    instances: list[list[float]]


class _Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class _Inference(BaseModel):
    inputs: list[_Tensor]


class _Numbers(BaseModel):
    prediction: list[float] | None = None
    predictions: list[list[float]] | None = None
    probabilities: list[float] | list[list[float]] | None = None
    outputs: list[_Tensor] | None = None


def fastapi_side(case: Case, session: onnxruntime.InferenceSession, runner: asyncio.Runner) -> Callable[[], bytes]:
    """Return the shortest honest service for the case's route, asked as a server asks an ASGI app."""
    app = FastAPI()
    name = session.get_inputs()[0].name

    def run(rows: object) -> Any:  # noqa: ANN401 - arrays of what the model gives
        return session.run(None, {name: rows})

    if case.path == "/predict":

        @app.post("/predict", response_model_exclude_none=True)
        async def predict(body: _Features) -> _Numbers:
            scores = run(np.array([body.features], np.float32))[-1]
            return _Numbers(**{case.answer: scores[0].tolist()})

    elif case.path == "/predict_batch":

        @app.post("/predict_batch", response_model_exclude_none=True)
        async def predict_batch(body: _Instances) -> _Numbers:
            scores = run(np.array(body.instances, np.float32))[-1]
            return _Numbers(**{case.answer: scores.tolist()})

    else:

        @app.post(case.path, response_model_exclude_none=True)
        async def infer(body: _Inference) -> _Numbers:
            tensor = body.inputs[0]
            scores = run(np.array(tensor.data, np.float32).reshape(tensor.shape))[-1]
            data = scores.ravel().tolist()
            return _Numbers(outputs=[_Tensor(name="scores", shape=list(scores.shape), datatype="FP32", data=data)])

    return _asked(app, case, runner)


def _asked(app: FastAPI, case: Case, runner: asyncio.Runner) -> Callable[[], bytes]:
    headers = [(name.encode(), value.encode()) for name, value in case.headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
    }
    scope |= {"path": case.path, "raw_path": case.path.encode(), "query_string": b"", "root_path": ""}

    async def ask() -> bytes:
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": case.body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            parts.append(message.get("body", b""))

        await app(scope | {"headers": headers}, receive, send)
        return b"".join(parts)

    return lambda: runner.run(ask())
