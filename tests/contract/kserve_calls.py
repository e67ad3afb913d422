"""What KServe's REST client gets from functions: run in its own environment, with the functions' addresses.

It ends with an AssertionError, or an error of the client's own, where that is not what it should be.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from contract.client_tensors import tensors


def request(values: dict[str, Any], *, binary: bool, model: str = "echo", **fields: Any) -> Any:
    """Return the client's request. Half floats are always bytes."""
    inputs = []
    for name, value in values.items():
        one = InferInput(name, list(value.shape), from_np_dtype(value.dtype), parameters={"content_type": "np"})
        one.set_data_from_numpy(value, binary_data=binary or name == "in_FP16")
        inputs.append(one)
    return InferRequest(model, inputs, **fields)


def same(response: Any, values: dict[str, Any]) -> None:
    """Each output is the input of its name, to the last bit."""
    assert response.model_name == "echo"
    assert len(response.outputs) == len(values)
    for name, value in values.items():
        found = response.get_output_by_name(name.replace("in_", "out_")).as_numpy()
        assert (found.dtype, found.shape) == (value.dtype, value.shape), name
        assert found.tolist() == value.tolist(), (name, found, value)


async def refused(call: Any, status: int, sentence: str) -> None:
    """Check that the client gets the status and the message of an error."""
    try:
        await call
    except HTTPStatusError as error:
        assert error.response.status_code == status, error
        assert sentence in str(error), error
    else:
        raise AssertionError(f"not refused: {sentence}")


async def health(client: Any, echo: str) -> None:
    """Liveness and readiness in V2."""
    assert await client.is_server_live(echo)
    assert await client.is_server_ready(echo)
    assert await client.is_model_ready(echo, "echo")
    assert not await client.is_model_ready(echo, "other")


async def inference(client: Any, echo: str) -> None:
    """Every datatype, in bytes and in JSON, of several shapes."""
    for shape in ((2, 3), (1, 1), (0, 4), (3, 0), (40, 50)):
        values = tensors(shape)
        half = [RequestedOutput(name.replace("in_", "out_"), {"binary_data": name == "in_FP16"}) for name in values]
        for fields in ({"parameters": {"binary_data_output": True}}, {"request_outputs": half, "request_id": "17"}):
            for binary in (True, False):
                response = await client.infer(echo, request(values, binary=binary, **fields), "echo")
                same(response, values)
                assert response.id == fields.get("request_id", response.id)


async def requested(client: Any, echo: str) -> None:
    """Check the requested outputs and their order."""
    values = tensors((2, 2))
    outputs = [RequestedOutput("out_BYTES", {"binary_data": True}), RequestedOutput("out_INT64")]
    response = await client.infer(echo, request(values, binary=False, request_outputs=outputs), "echo")
    assert [output.name for output in response.outputs] == ["out_BYTES", "out_INT64"]
    same(response, {name: values[name] for name in ("in_BYTES", "in_INT64")})


async def refusals(client: Any, echo: str) -> None:
    """Check the models of the path and of the body."""
    values = tensors((2, 2))
    wrong = request(values, binary=True, model="other")
    await refused(client.infer(echo, wrong, "echo"), 400, 'this function serves "echo", found "other"')
    await refused(client.infer(echo, request(values, binary=True), "other"), 404, 'unknown model "other"')
    values.pop("in_INT8")
    lacking = request(values, binary=True, parameters={"binary_data_output": True})
    await refused(client.infer(echo, lacking, "echo"), 400, 'the input "in_INT8" is missing')


async def columns(client: Any, sample: str, names: list[str]) -> None:
    """Send a matrix as one input, and as an input for each feature."""
    rows = np.arange(60, dtype=np.float32).reshape(2, 30)
    inputs = {"features": rows}
    by_name = {name: np.ascontiguousarray(rows[:, [index]]) for index, name in enumerate(names)}
    answers = [
        await client.infer(sample, request(values, binary=binary, model="breast-cancer"), "breast-cancer")
        for values in (inputs, by_name)
        for binary in (True, False)
    ]
    assert len({str([output.to_dict() for output in answer.outputs]) for answer in answers}) == 1


async def v1(client: Any, sample: str) -> None:
    """V1: what the client can ask of it."""
    assert await client.is_server_live(sample)
    assert await client.is_model_ready(sample, "breast-cancer")
    await refused(client.is_model_ready(sample, "other"), 404, 'unknown model "other"')
    body = {"instances": [list(range(30))] * 2}
    answer = await client.infer(sample, body, "breast-cancer")
    assert answer.keys() == {"predictions"}
    assert len(answer["predictions"]) == 2
    await refused(client.infer(sample, {"instances": [[1]]}, "breast-cancer"), 400, "expected 30 features, found 1")
    explained = client.explain(sample, "breast-cancer", body)
    await refused(explained, 404, 'unknown route "/v1/models/breast-cancer:explain"')


async def main(echo: str, sample: str, names: list[str]) -> None:
    """Call two functions at their URLs: one with the model `echo`, one with the sample, whose features have `names`."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=300)) as client:
        for calls in (health, inference, requested, refusals):
            await calls(client, echo)
        await columns(client, sample, names)
    async with InferenceRESTClient(RESTConfig(protocol="v1", timeout=300)) as client:
        await v1(client, sample)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
