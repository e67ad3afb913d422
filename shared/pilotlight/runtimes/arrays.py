"""Between tensors and numpy arrays, over the same memory. numpy is imported when a runtime that needs it calls."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from pilotlight.errors import ModelError
from pilotlight.model.tensor import BF16, BYTES, Datatype, Tensor

if TYPE_CHECKING:
    import numpy as np

# numpy's name for each datatype, in native byte order.
_NUMPY = {"BOOL": "?", "FP16": "f2", "FP32": "f4", "FP64": "f8"}


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The tensor as an array over the same memory; strings become an object array."""
    import numpy as np  # noqa: PLC0415

    if isinstance(tensor.data, list):
        return np.array(tensor.data, dtype=object).reshape(tensor.shape)
    return np.frombuffer(tensor.data, dtype=numpy_dtype(tensor.datatype)).reshape(tensor.shape)


def from_numpy(result: np.ndarray[Any, Any], datatype: Datatype) -> Tensor:
    """An output as a tensor of the signature's datatype."""
    if datatype is BYTES:
        values = result.ravel().tolist()
        if not all(isinstance(value, str) for value in values):
            raise ModelError("an output holds something else than strings, and the signature says BYTES")
        return Tensor(datatype, result.shape, values)
    contiguous = result.ravel()
    if contiguous.dtype != numpy_dtype(datatype):
        raise ModelError(f"an output has the type {contiguous.dtype}, and the signature says {datatype.name}")
    return Tensor(datatype, result.shape, contiguous.view("u1").data)


def numpy_dtype(datatype: Datatype) -> str:
    """numpy's name for a datatype: the typecodes of `array` are also numpy's, but for those that differ in size.

    Raises ModelError for BF16, which numpy has not.
    """
    if datatype is BF16:
        raise ModelError("numpy has no BF16")
    return _NUMPY.get(datatype.name) or f"{'u' if datatype.low == 0 else 'i'}{array(datatype.typecode).itemsize}"
