"""Tensors as numpy arrays over the same memory, and back. numpy is imported by the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotlight.errors import ModelError
from pilotlight.model.tensor import BYTES, Datatype, Tensor

if TYPE_CHECKING:
    import numpy as np


def to_numpy(tensor: Tensor, missing: object = "") -> np.ndarray[Any, Any]:
    """Return the tensor as an array over the same memory; strings become an object array, with `missing` for None."""
    import numpy as np  # noqa: PLC0415

    if isinstance(tensor.data, list):
        strings = [missing if value is None else value for value in tensor.data] if None in tensor.data else tensor.data
        return np.array(strings, dtype=object).reshape(tensor.shape)
    return np.frombuffer(tensor.data, dtype=numpy_dtype(tensor.datatype)).reshape(tensor.shape)


def from_numpy(result: np.ndarray[Any, Any], datatype: Datatype) -> Tensor:
    """Return an output as a tensor of the signature's datatype. Raises ModelError if it has another."""
    if datatype is BYTES:
        values = result.ravel().tolist()
        if not all(isinstance(value, str) for value in values):
            raise ModelError("an output has values that are not strings; the signature expects BYTES")
        return Tensor(datatype, result.shape, values)
    contiguous = result.ravel()
    if contiguous.dtype != numpy_dtype(datatype):
        raise ModelError(f"an output has the type {contiguous.dtype}; the signature expects {datatype.name}")
    return Tensor(datatype, result.shape, contiguous.view("u1").data)


def numpy_dtype(datatype: Datatype) -> str:
    """Return numpy's name for a datatype. Raise ModelError for one that numpy lacks."""
    if not datatype.numpy:
        raise ModelError(f"numpy has no {datatype.name}")
    return datatype.numpy
