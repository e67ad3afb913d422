"""What `tritonclient` gets from a function with a model of BF16, in the client's own environment."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import tritonclient.http as triton


def main(address: str) -> None:
    """Call the function at an address, `host:port`."""
    values = np.array([[0, 1, -2], [3.5, 200, 2.0**-133]], ml_dtypes.bfloat16)
    tensor = triton.InferInput("x", [2, 3], "BF16").set_data_from_numpy(values)
    with triton.InferenceServerClient(address) as client:
        assert client.get_model_metadata("plus")["outputs"] == [{"name": "y", "datatype": "BF16", "shape": [-1, 3]}]
        found = client.infer("plus", [tensor]).as_numpy("y")
    assert found.dtype == values.dtype
    assert np.array_equal(found, np.array([[0.5, 1.5, -1.5], [4, 200, 0.5]], found.dtype)), found


if __name__ == "__main__":
    main(sys.argv[1])
