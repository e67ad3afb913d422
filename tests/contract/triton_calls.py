"""What `tritonclient` gets from a function: run in the client's own environment, with the function's address.

It ends with an AssertionError, or an error of the client's own, where that is not what it should be.
"""

from __future__ import annotations

import sys
from typing import Any

import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from contract.client_tensors import tensors


def inputs(values: dict[str, Any], *, binary: bool) -> list[Any]:
    """Return the client's inputs. Half floats are always bytes."""
    made = []
    for name, value in values.items():
        one = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        made.append(one.set_data_from_numpy(value, binary_data=binary or name == "in_FP16"))
    return made


def same(result: Any, values: dict[str, Any]) -> None:
    """Each output is the input of its name, to the last bit."""
    for name, value in values.items():
        found = result.as_numpy(name.replace("in_", "out_"))
        if value.dtype == object:
            texts = [text.decode() if isinstance(text, bytes) else text for text in found.ravel().tolist()]
            assert texts == value.ravel().tolist(), name
            assert found.shape == value.shape
        else:
            assert (found.dtype, found.shape) == (value.dtype, value.shape), name
            assert found.tobytes() == value.tobytes(), (name, found, value)


def metadata(client: Any) -> None:
    """Liveness, readiness and what server and model say of themselves."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("echo", "2")
    server = client.get_server_metadata()
    assert (server["name"], server["extensions"]) == ("pilotlight", ["binary_tensor_data"])
    model = client.get_model_metadata("echo", "1")
    assert (model["name"], model["versions"], model["platform"]) == ("echo", ["1"], "onnxruntime_onnx")
    assert {"name": "in_FP16", "datatype": "FP16", "shape": [-1, -1]} in model["inputs"]
    assert {"name": "out_scalar", "datatype": "FP32", "shape": []} in model["outputs"]


def inference(client: Any) -> None:
    """Every datatype, in bytes and in JSON, of several shapes, and compressed."""
    for shape in ((2, 3), (1, 1), (0, 4), (3, 0)):
        values = tensors(shape)
        same(client.infer("echo", inputs(values, binary=True)), values)
        outputs = [
            triton.InferRequestedOutput(name.replace("in_", "out_"), binary_data=name == "in_FP16") for name in values
        ]
        mixed = client.infer("echo", inputs(values, binary=False), "1", outputs=outputs, request_id="17")
        assert mixed.get_response()["id"] == "17"
        same(mixed, values)
    values = tensors((40, 50))
    for way in ("gzip", "deflate"):
        same(client.infer("echo", inputs(values, binary=True), request_compression_algorithm=way), values)
        same(client.infer("echo", inputs(values, binary=True), response_compression_algorithm=way), values)


def requested(client: Any) -> None:
    """Check the requested outputs and their order."""
    values = tensors((2, 2))
    outputs = [triton.InferRequestedOutput("out_BYTES"), triton.InferRequestedOutput("out_INT64", binary_data=False)]
    result = client.infer("echo", inputs(values, binary=True), outputs=outputs, parameters={"mine": "yes"}, timeout=5)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["out_BYTES", "out_INT64"]
    same(result, {name: values[name] for name in ("in_BYTES", "in_INT64")})
    assert result.as_numpy("out_FP32") is None
    pending = client.async_infer("echo", inputs(values, binary=True))
    same(pending.get_result(), values)


def refusals(client: Any) -> None:
    """Check that the client gets the message of an error."""
    values = tensors((2, 2))
    made = [one for one in inputs(values, binary=True) if one.name() != "in_INT8"]
    try:
        client.infer("echo", made)
    except InferenceServerException as error:
        assert error.status() == "400", error
        assert error.message() == 'the input "in_INT8" is missing', error
    else:
        raise AssertionError("a missing input was taken")


def main(address: str) -> None:
    """Call the function at an address, `host:port`."""
    with triton.InferenceServerClient(address) as client:
        for calls in (metadata, inference, requested, refusals):
            calls(client)


if __name__ == "__main__":
    main(sys.argv[1])
