"""The gRPC server as its container runs it: what it answers, what it refuses, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import grpc_inference_pb2 as pb
from catalogue import CATALOGUE
from catalogue.building import INFER, Wrong, bodied, echo
from grpc_calls import PATIENCE, Client, Serving, as_message, connected, serving_grpc
from grpc_codes import CODES
from grpc_server import HEALTH
from grpc_service import NAME
from harness import Pinned, pinned
from onnx_models import counting, repeating
from onnx_models import echo as echo_model
from pilotlight import errors
from waiting import wait_until

StatusCode = grpc.StatusCode
LIMIT = 1_000_000

# Calls before a stop under load, and after it; more by the environment.
CALLS = int(os.environ.get("GRPC_STOP_CALLS", "100"))


def serving(stack: ExitStack, model: Pinned, **settings: str) -> Serving:
    """Run a staged server of a model until the stack's end."""
    return stack.enter_context(serving_grpc(model, PILOTLIGHT_MAX_BODY_BYTES=str(LIMIT), **settings))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return pinned(echo_model(tmp_path_factory.mktemp("echo")), "echo", tmp_path_factory.mktemp("pins"))


@pytest.fixture(scope="module")
def server(model: Pinned) -> Iterator[Serving]:
    with ExitStack() as stack:
        yield serving(stack, model)


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[Client]:
    with connected(server.address) as client:
        yield client


def good() -> pb.ModelInferRequest:
    """Return a request to `echo` in raw contents: its FP16 has no other."""
    document = echo()
    data = b""
    for entry in document["inputs"]:
        values = entry.pop("data", [])
        kind = {"BYTES": b"\1\0\0\0a", "BOOL": b"\1"}.get(entry["datatype"])
        numpy = entry["datatype"].lower().replace("fp", "float")
        content = b"" if not values else kind or np.array(values, numpy).tobytes()
        entry["parameters"] = {"binary_data_size": len(content)}
        data += content
    body, headers = bodied(document, data)
    message = as_message(INFER, body, headers)
    assert message is not None
    return message


def changed(**fields: object) -> pb.ModelInferRequest:
    """Return a good request with other fields."""
    message = good()
    for name, value in fields.items():
        message.ClearField(name)
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def with_input(index: int, *, raw: bytes | None = None, **fields: object) -> pb.ModelInferRequest:
    """Return a good request with another raw content, or other fields, of one input."""
    message = good()
    if raw is not None:
        message.raw_input_contents[index] = raw
    for name, value in fields.items():
        field = getattr(message.inputs[index], name)
        if isinstance(value, list):
            del field[:]
            field.extend(value)
        elif name == "contents":
            field.CopyFrom(value)
        else:
            setattr(message.inputs[index], name, value)
    return message


def typed(index: int, contents: pb.InferTensorContents) -> pb.ModelInferRequest:
    """Return a good request in typed contents with those of one input replaced."""
    body, headers = bodied(echo())
    message = as_message(INFER, body, headers)
    assert message is not None
    message.inputs[index].contents.CopyFrom(contents)
    return message


def referring() -> pb.ModelInferRequest:
    """Return a request with an input that names an object."""
    message = good()
    message.inputs[1].parameters.clear()
    message.inputs[1].parameters["binary_data_url"].string_param = "s3://bucket/key"
    return message


def test_health_metadata_and_readiness(client: Client) -> None:
    assert client.call("ServerLive", pb.ServerLiveRequest()).live
    assert client.call("ServerReady", pb.ServerReadyRequest()).ready
    assert client.call("ModelReady", pb.ModelReadyRequest(name="echo")).ready
    assert client.call("ServerMetadata", pb.ServerMetadataRequest()).name == "pilotlight"
    found = client.call("ModelMetadata", pb.ModelMetadataRequest(name="echo", version="1"))
    assert (found.name, found.versions, found.platform) == ("echo", ["1"], "onnxruntime_onnx")
    assert [-1, -1] in [list(entry.shape) for entry in found.inputs]
    check = client.channel.unary_unary(f"/{HEALTH}/Check", None, health_pb2.HealthCheckResponse.FromString)
    for name in ("", NAME):
        request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
        assert check(request, timeout=PATIENCE).status == health_pb2.HealthCheckResponse.SERVING
    for wrong in (health_pb2.HealthCheckRequest(service="other").SerializeToString(), b"\xff"):
        with pytest.raises(grpc.RpcError) as refused:
            check(wrong, timeout=PATIENCE)
        assert refused.value.code() == StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_describes_them(client: Client) -> None:
    ask = client.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        None,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString(),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME).SerializeToString(),
        b"\xff",
    ]
    listed, described, malformed = ask(iter(requests), timeout=PATIENCE)
    assert NAME in [service.name for service in listed.list_services_response.service]
    assert described.file_descriptor_response.file_descriptor_proto == [pb.DESCRIPTOR.serialized_pb]
    assert malformed.error_response.error_code == StatusCode.INVALID_ARGUMENT.value[0]


def test_a_response_has_the_ids_of_its_request(client: Client) -> None:
    message = changed(id="17")
    ask = client.channel.unary_unary(f"/{NAME}/ModelInfer", None, pb.ModelInferResponse.FromString)
    metadata = (("x-request-id", "mine"),)
    response, call = ask.with_call(message.SerializeToString(), timeout=PATIENCE, metadata=metadata)
    assert (response.id, response.model_name, response.model_version) == ("17", "echo", "1")
    assert dict(call.trailing_metadata())["x-request-id"] == "mine"
    assert [output.name for output in response.outputs] == ["out_INT8"]
    assert list(response.raw_output_contents) == [b"\1"]


FLOATS = pb.InferTensorContents(fp32_contents=[1.0])
WRONG = {
    "no message": (b"\xff\xff", StatusCode.INVALID_ARGUMENT, "the bytes are not the message of"),
    "a name that is not UTF-8": (b"\x0a\x01\xff", StatusCode.INVALID_ARGUMENT, "the bytes are not the message of"),
    "nothing": (b"", StatusCode.NOT_FOUND, 'unknown model ""'),
    "another model": (changed(model_name="other"), StatusCode.NOT_FOUND, 'unknown model "other"'),
    "another version": (changed(model_version="2"), StatusCode.NOT_FOUND, 'unknown version "2"'),
    "no inputs": (changed(inputs=[], raw_input_contents=[]), StatusCode.INVALID_ARGUMENT, "$.inputs: the input"),
    "a raw content too few": (
        changed(raw_input_contents=[b"\1"]),
        StatusCode.INVALID_ARGUMENT,
        "$.raw_input_contents: expected the contents of 14 inputs, found 1",
    ),
    "raw contents that are short": (
        with_input(2, raw=b"\0"),
        StatusCode.INVALID_ARGUMENT,
        "$.raw_input_contents[2]: expected 2 bytes for UINT16 of shape [1, 1], found 1",
    ),
    "a boolean of 2": (with_input(0, raw=b"\2"), StatusCode.INVALID_ARGUMENT, "$.raw_input_contents[0]: expected"),
    "contents beside raw ones": (
        with_input(1, contents=FLOATS),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].contents: found contents beside raw_input_contents",
    ),
    "a negative length": (
        with_input(1, shape=[-1, 1]),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].shape[0]: expected a whole number of at least 0",
    ),
    "an unknown datatype": (
        with_input(1, datatype="FP8"),
        StatusCode.INVALID_ARGUMENT,
        '$.inputs[1].datatype: expected "UINT8" for "in_UINT8", found "FP8"',
    ),
    "a field of another datatype": (
        typed(1, FLOATS),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].contents: found fp32_contents, expected uint_contents",
    ),
    "an input by reference": (
        referring(),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].parameters.binary_data_url: an input by reference needs a request over HTTP",
    ),
    "two values for one": (
        typed(1, pb.InferTensorContents(uint_contents=[1, 2])),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].contents: expected 1 values in uint_contents, found 2",
    ),
    "a number out of range": (
        typed(1, pb.InferTensorContents(uint_contents=[256])),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[1].contents.uint_contents[0]: expected a whole number from 0 to 255 (UINT8), found 256",
    ),
    "half floats in a field": (
        typed(13, FLOATS),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[13].contents: found fp32_contents, expected raw_input_contents for FP16",
    ),
    "a string that is not UTF-8": (
        typed(11, pb.InferTensorContents(bytes_contents=[b"\xff"])),
        StatusCode.INVALID_ARGUMENT,
        "$.inputs[11].contents.bytes_contents[0]: the string is not UTF-8",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_message_is_the_callers_fault(name: str, client: Client) -> None:
    message, code, sentence = WRONG[name]
    found, details = client.refusal("ModelInfer", message)
    assert (found, details[: len(sentence)]) == (code, sentence)
    client.call("ModelInfer", good())


CATALOGUED = [
    (wrong, message)
    for found in CATALOGUE.values()
    for wrong in found
    if wrong.case.method == "POST"
    and wrong.model == "echo"
    and "half floats" not in wrong.case.name  # which have no form in JSON alone
    and (message := as_message(wrong.case.path, wrong.case.body, wrong.case.headers)) is not None
]


def test_many_of_the_catalogue_have_a_meaning_here() -> None:
    assert len(CATALOGUED) >= 20


@pytest.mark.parametrize("wrong", [pytest.param(each, id=each[0].case.name) for each in CATALOGUED])
def test_the_catalogue_is_refused_by_its_status(wrong: tuple[Wrong, pb.ModelInferRequest], client: Client) -> None:
    case, message = wrong[0].case, wrong[1]
    code, details = client.refusal("ModelInfer", message)
    assert code == CODES[case.status], (code, details)
    assert details
    client.call("ModelInfer", good())


def test_every_error_of_the_core_has_a_code() -> None:
    def subclasses(kind: type[errors.RequestError]) -> list[type[errors.RequestError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in subclasses(child))]

    kinds = [kind for kind in subclasses(errors.RequestError) if kind.__module__ == errors.__name__]
    assert {kind.status for kind in kinds} == CODES.keys()
    assert [status for status, code in CODES.items() if code == StatusCode.INTERNAL] == [500]


def test_unknown_methods_and_services_are_not_implemented(client: Client) -> None:
    for path in (f"/{NAME}/ModelStreamInfer", "/other.Service/Method"):
        with pytest.raises(grpc.RpcError) as refused:
            client.channel.unary_unary(path)(b"", timeout=PATIENCE)
        assert refused.value.code() == StatusCode.UNIMPLEMENTED


def test_a_compressed_message_is_refused_before_it_is_unpacked(server: Serving, client: Client) -> None:
    import psutil

    before = psutil.Process(server.runtime.pid).memory_info().rss
    bomb = bytes(500_000_000)
    code, details = client.refusal("ModelInfer", bomb, compression=grpc.Compression.Gzip)
    assert code == StatusCode.UNIMPLEMENTED, details
    assert psutil.Process(server.runtime.pid).memory_info().rss - before < 100_000_000


def test_what_is_too_large_exhausts_a_resource(client: Client, tmp_path: Path) -> None:
    code, _ = client.refusal("ModelInfer", bytes(LIMIT + 1))
    assert code == StatusCode.RESOURCE_EXHAUSTED
    client.call("ModelInfer", good())
    large = pinned(repeating(tmp_path, 200_000), "repeating", tmp_path)
    message = pb.ModelInferRequest(model_name="repeating", raw_input_contents=[bytes(8)])
    message.inputs.add(name="x", datatype="FP32", shape=[2])
    with ExitStack() as stack:
        other = stack.enter_context(connected(serving(stack, large).address))
        code, details = other.refusal("ModelInfer", message)
        assert code == StatusCode.RESOURCE_EXHAUSTED
        assert details.endswith(f"the limit is {LIMIT}; send fewer rows")


def test_the_clients_deadline_ends_the_run(tmp_path: Path) -> None:
    model = pinned(counting(tmp_path), "counting", tmp_path)
    message = pb.ModelInferRequest(model_name="counting", raw_input_contents=[bytes(400_000)])
    message.inputs.add(name="x", datatype="FP32", shape=[100_000])
    with ExitStack() as stack:
        server = serving(stack, model)
        client = stack.enter_context(connected(server.address))
        assert client.refusal("ModelInfer", message, timeout=3)[0] == StatusCode.DEADLINE_EXCEEDED
        event = server.runtime.log.wait_for("request", PATIENCE)
        assert event is not None
        assert (event["status"], event["code"]) == (504, "prediction_timeout")
        assert client.call("ServerLive", pb.ServerLiveRequest()).live


def test_open_connections_and_halves_of_requests_hold_nobody_up(server: Serving, client: Client) -> None:
    host, port = server.address.split(":")
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(b"PRI * HTTP/2.0\r\n\r\nSM")
        for _ in range(40):
            silent = client.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            stack.callback(silent(iter(threading.Event().wait, True), timeout=PATIENCE).cancel)
        client.call("ModelInfer", good())


# What crosses with the end of a connection was not run: gRPC's library answers CANCELLED or UNAVAILABLE by itself.
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": NAME}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}


def test_sigterm_answers_what_is_under_way_while_others_take_over(model: Pinned) -> None:
    """The server that ends has two processes."""
    message, failed, done = good(), [], threading.Event()
    counts = [0] * 4
    with ExitStack() as stack:
        leaving, staying = serving(stack, model, PILOTLIGHT_SERVER_WORKERS="2"), serving(stack, model)
        client = stack.enter_context(connected(leaving.address, staying.address, service_config=RETRIES))

        def load(index: int) -> None:
            while not done.is_set():
                code, details = client.refusal("ModelInfer", message)
                counts[index] += 1
                if code != StatusCode.OK:
                    failed.append((code, details))

        threads = [threading.Thread(target=load, args=(index,)) for index in range(len(counts))]
        stack.callback(done.set)
        for thread in threads:
            thread.start()
        limit = PATIENCE + CALLS / 10
        wait_until(lambda: sum(counts) >= CALLS and bool(leaving.runtime.log.events("request")), limit)
        os.kill(leaving.runtime.pid, signal.SIGTERM)
        wait_until(lambda: leaving.runtime.exit_code is not None, limit=PATIENCE)
        reached = sum(counts) + CALLS
        wait_until(lambda: sum(counts) >= reached, limit)
        done.set()
        for thread in threads:
            thread.join()
        assert failed == []
        assert leaving.runtime.exit_code == 0


def test_a_port_that_is_taken_and_an_unknown_setting_fail_the_start(model: Pinned) -> None:
    from pilotlight_cli.local.process import ServeError

    with ExitStack() as stack, pytest.raises(ServeError, match="unknown setting PILOTLIGHT_SERVER_GRPC"):
        serving(stack, model, PILOTLIGHT_SERVER_GRPC="1")


def test_the_committed_code_is_what_the_protocol_file_generates(tmp_path: Path) -> None:
    from grpc_code import FOLDER, WRITTEN, generate

    generate(tmp_path)
    for name in WRITTEN:
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), "run 'make proto'"


def test_a_line_of_the_log_is_that_of_http(server: Serving, client: Client) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    sent = ("x-request-id", "logged"), ("traceparent", f"00-{trace}-{span}-01")
    client.call("ModelInfer", good(), metadata=sent)
    wait_until(lambda: any(each["request_id"] == "logged" for each in server.runtime.log.events("request")), PATIENCE)
    (line,) = [each for each in server.runtime.log.events("request") if each["request_id"] == "logged"]
    assert (line["route"], line["status"], line["rows"]) == (f"/{NAME}/ModelInfer", 200, 1)
    assert json.dumps(line["model_name"]) == '"echo"'
    assert (line["trace_id"], line["span_id"], line["trace_flags"]) == (trace, span, "01")
