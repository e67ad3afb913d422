"""What `tritonclient` gets over gRPC, beside what it gets over HTTP from the same model.

Run in the client's own environment with both addresses, the number of random requests, their seed, and a file with the
descriptor of our protocol. It ends with an
AssertionError, or an error of a client's own, where the answers differ.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from contract.client_tensors import tensors


def inputs(client: Any, values: dict[str, Any]) -> list[Any]:
    """Return the inputs of one of the client's two halves, in bytes."""
    made = []
    for name, value in values.items():
        one = client.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        made.append(one.set_data_from_numpy(value))
    return made


def randomized(chance: random.Random) -> dict[str, Any]:
    """Return a matrix of random bits for each datatype, of one random shape; NaN and the infinities are among them."""
    shape = chance.choice([(1, 1), (2, 3), (chance.randrange(1, 9), chance.randrange(1, 9)), (0, 2), (3, 0)])
    found = {}
    for name, sample in tensors((1, 1)).items():
        count = 1 if name == "in_scalar" else shape[0] * shape[1]
        if sample.dtype == object:
            texts = ["".join(chance.choices("aÎ\N{SNOWMAN}\0 ", k=chance.randrange(5))) for _ in range(count)]
            value = np.array(texts, object)
        elif sample.dtype == bool:
            value = np.array([chance.random() < 0.5 for _ in range(count)], bool)
        else:
            value = np.frombuffer(chance.randbytes(count * sample.dtype.itemsize), sample.dtype)
        found[name] = value.reshape(sample.shape if name == "in_scalar" else shape)
    return found


def same(one: Any, other: Any, values: dict[str, Any]) -> None:
    """Both results are what was sent, to the last bit."""
    for name, value in values.items():
        ours, theirs = (result.as_numpy(name.replace("in_", "out_")) for result in (one, other))
        assert ours.dtype == theirs.dtype, name
        assert ours.shape == theirs.shape == value.shape, name
        if value.dtype == object:
            texts = [text.encode() for text in value.ravel()]
            assert ours.ravel().tolist() == theirs.ravel().tolist() == texts, name
        else:
            assert ours.tobytes() == theirs.tobytes() == value.tobytes(), name


def metadata(client: Any) -> None:
    """Health and what server and model say of themselves."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo", "1")
    assert client.get_server_metadata().name == "pilotlight"
    model = client.get_model_metadata("echo")
    assert ("in_FP16", "FP16", [-1, -1]) in [(one.name, one.datatype, list(one.shape)) for one in model.inputs]


def refusals(client: Any) -> None:
    """Check the codes and messages that the client gets."""
    given = [one for one in inputs(over_grpc, tensors((2, 2))) if one.name() != "in_INT8"]
    for name, made, code, sentence in (
        ("echo", given, "INVALID_ARGUMENT", '$.inputs: the input "in_INT8" is missing'),
        ("other", given, "NOT_FOUND", 'unknown model "other", this function serves "echo"'),
    ):
        try:
            client.infer(name, made)
        except InferenceServerException as error:
            assert (error.status(), error.message()) == (f"StatusCode.{code}", sentence), error
        else:
            raise AssertionError(f"not refused: {sentence}")


def typed(address: str) -> None:
    """Send typed contents, which no client writes by itself, with Triton's own messages."""
    import grpc

    values = tensors((2, 2))
    fields = {
        **{f"in_{kind}{size}": "int_contents" for kind in ("INT",) for size in (8, 16, 32)},
        **{f"in_{kind}{size}": "uint_contents" for kind in ("UINT",) for size in (8, 16, 32)},
        "in_INT64": "int64_contents",
        "in_UINT64": "uint64_contents",
        "in_FP32": "fp32_contents",
        "in_FP64": "fp64_contents",
        "in_BOOL": "bool_contents",
        "in_BYTES": "bytes_contents",
        "in_scalar": "fp32_contents",
    }
    request = service_pb2.ModelInferRequest(model_name="echo")
    for name, value in values.items():
        shape = [0, 0] if name == "in_FP16" else value.shape
        entry = request.inputs.add(name=name, datatype=np_to_triton_dtype(value.dtype), shape=shape)
        if name in fields:
            flat = [one.encode() if isinstance(one, str) else one for one in value.ravel().tolist()]
            getattr(entry.contents, fields[name]).extend(flat)
            request.outputs.add(name=name.replace("in_", "out_"))
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelInferResponse.FromString,
        )
        response = ask(request, timeout=60)
    assert not response.raw_output_contents
    sent = {entry.name.replace("in_", "out_"): entry.contents for entry in request.inputs}
    for output in response.outputs:
        assert output.contents == sent[output.name], output.name


def descriptors(file: Path) -> None:
    """Every message, field and method of ours is Triton's own by name, number and type."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    ours = FileDescriptorProto.FromString(file.read_bytes())
    theirs = FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(theirs)

    def fields(messages: Any, above: str = "") -> set[tuple[Any, ...]]:
        found = set()
        for message in messages:
            name = f"{above}.{message.name}"
            found |= {(name, one.name, one.number, one.type, one.label, one.type_name) for one in message.field}
            found |= fields(message.nested_type, name)
        return found

    assert fields(ours.message_type) <= fields(theirs.message_type)
    methods = {(one.name, one.input_type, one.output_type) for one in theirs.service[0].method}
    assert {(one.name, one.input_type, one.output_type) for one in ours.service[0].method} <= methods


def main(grpc_address: str, http_address: str, count: int, seed: int, ours: Path) -> None:
    """Call both servers."""
    chance = random.Random(seed)  # noqa: S311 - its numbers are no secret
    with over_grpc.InferenceServerClient(grpc_address) as client, over_http.InferenceServerClient(http_address) as http:
        metadata(client)
        refusals(client)
        for _ in range(count):
            values = randomized(chance)
            answers = client.infer("echo", inputs(over_grpc, values)), http.infer("echo", inputs(over_http, values))
            same(*answers, values)
    typed(grpc_address)
    descriptors(ours)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
