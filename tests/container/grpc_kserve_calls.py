"""What KServe's client gets over gRPC: run in its own environment, with the server's address.

It ends with an AssertionError, or an error of the client's own, where that is not what it should be.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.utils.numpy_codec import from_np_dtype

from contract.client_tensors import tensors


async def main(address: str) -> None:
    """KServe's client: health, every datatype and a refusal."""
    values = tensors((2, 3))
    made = []
    for name, value in values.items():
        one = InferInput(name, list(value.shape), from_np_dtype(value.dtype))
        one.set_data_from_numpy(value, binary_data=True)
        made.append(one)
    async with InferenceGRPCClient(address, timeout=60) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("echo")
        response = await client.infer(InferRequest("echo", made))
        for name, value in values.items():
            found = response.get_output_by_name(name.replace("in_", "out_")).as_numpy()
            if found.dtype == object:
                found = np.array([text.decode() for text in found.ravel()], object).reshape(found.shape)
            assert (found.dtype, found.shape, found.tolist()) == (value.dtype, value.shape, value.tolist()), name


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
