"""Calls of the gRPC server: a client of our own messages, and requests of V2 over HTTP as messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import grpc
from google.protobuf.message import Message

import grpc_inference_pb2 as pb
from catalogue.building import HEADER
from grpc_service import NAME
from grpc_tensors import _FIELDS as FIELDS
from harness import Pinned, in_server
from pilotlight.model.tensor import DATATYPES
from pilotlight_cli.local.container_runtime import GRPC_PORT
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.process import free_port
from pilotlight_cli.local.stores import EmbeddedStore

# Seconds. Nothing may take that long: a call that hangs fails with DEADLINE_EXCEEDED instead of what is expected.
PATIENCE = 60.0

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Client:
    """A client of one address, or of several in turn."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, method: str, message: Message | bytes, timeout: float | None = PATIENCE, **options: Any) -> Any:
        """Return the response to a message or to bytes. Raise grpc.RpcError."""
        kind = getattr(pb, f"{method}Response")
        content = message if isinstance(message, bytes) else message.SerializeToString()
        ask = self.channel.unary_unary(f"/{NAME}/{method}", None, kind.FromString)
        return ask(content, timeout=timeout, **options)

    def refusal(self, method: str, message: Message | bytes, **options: Any) -> tuple[grpc.StatusCode, str]:
        """Return the code and the message of a refusal, or OK."""
        try:
            self.call(method, message, **options)
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, ""


@contextmanager
def connected(*addresses: str, service_config: object = None) -> Iterator[Client]:
    """Connect to addresses, and take them in turn."""
    options = [
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.max_receive_message_length", -1),
        ("grpc.service_config", json.dumps(service_config or {})),
    ]
    with grpc.insecure_channel(f"ipv4:{','.join(addresses)}", options) as channel:
        yield Client(channel)


@dataclass(frozen=True)
class Serving:
    """A server that answers over gRPC on `address`, and over HTTP."""

    address: str
    runtime: FunctionsRuntime


@contextmanager
def serving_grpc(model: Pinned, **settings: str) -> Iterator[Serving]:
    """Run a staged server of a model, in one process unless the settings say otherwise."""
    port = str(free_port())
    settings = {"PILOTLIGHT_SERVER_WORKERS": "1", GRPC_PORT: port, **settings}
    with in_server(model, EmbeddedStore(model.store.url, {}), **settings) as runtime:
        yield Serving(f"127.0.0.1:{port}", runtime)


def as_message(path: str, body: bytes, headers: Mapping[str, str]) -> pb.ModelInferRequest | None:
    """Return a request of V2 over HTTP as a message; None for what no message can say."""
    try:
        return _as_message(path, body, headers)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _as_message(path: str, body: bytes, headers: Mapping[str, str]) -> pb.ModelInferRequest:
    found = _PATH.fullmatch(path)
    size = int(headers.get(HEADER, len(body)))
    document = json.loads(body[:size])
    if found is None or size > len(body) or document.keys() - {"id", "inputs", "outputs", "parameters"}:
        raise ValueError(path)
    message = pb.ModelInferRequest(
        model_name=found[1],
        model_version=found[2],
        id=document.get("id"),
        parameters=_parameters(document),
        inputs=[_input(entry) for entry in document["inputs"]],
        outputs=[
            pb.ModelInferRequest.InferRequestedOutputTensor(name=entry["name"], parameters=_parameters(entry))
            for entry in document.get("outputs") or []
        ],
    )
    sizes = [entry["parameters"]["binary_data_size"] for entry in document["inputs"] if "data" not in entry]
    is_raw = len(sizes) == len(message.inputs)
    data = body[size:]
    if not all(type(one) is int and one >= 0 for one in sizes) or sum(sizes) != len(data) or (data and not is_raw):
        raise ValueError(sizes)
    for length in sizes if is_raw else ():  # what is empty looks the same in both forms
        message.raw_input_contents.append(data[:length])
        data = data[length:]
    return message


def _input(entry: dict[str, Any]) -> pb.ModelInferRequest.InferInputTensor:
    if entry.keys() - {"name", "datatype", "shape", "parameters", "data"}:
        raise ValueError(entry)
    if "data" in entry and "binary_data_size" in (entry.get("parameters") or {}):
        raise ValueError(entry)
    tensor = pb.ModelInferRequest.InferInputTensor(
        name=entry["name"], datatype=entry["datatype"], shape=entry["shape"], parameters=_parameters(entry)
    )
    if "data" in entry:
        values = [value.encode() if isinstance(value, str) else value for value in entry["data"]]
        name = entry["datatype"] if entry["datatype"] in DATATYPES else "FP32"
        kinds = {bool} if name == "BOOL" else {bytes} if name == "BYTES" else {int, float}
        if not {type(value) for value in values} <= kinds:
            raise ValueError(values)
        field = getattr(tensor.contents, FIELDS[name])
        field.extend(values)
        if inf in map(abs, field if DATATYPES[name].is_float else ()):  # rounded on the way
            raise ValueError(values)
    return tensor


def _parameters(entry: dict[str, Any]) -> dict[str, pb.InferParameter]:
    choices = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    given = (entry.get("parameters") or {}).items()
    return {name: pb.InferParameter(**{choices[type(value)]: value}) for name, value in given}
