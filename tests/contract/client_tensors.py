"""What the clients send to the model `echo`: a tensor of each datatype."""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def tensors(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a matrix of each datatype with its extremes in it, by the name of the model's input."""
    count = int(np.prod(shape))
    found: dict[str, Any] = {}
    for name in NUMBERS:
        limits: Any = np.iinfo(name) if "int" in name else np.finfo(name)
        values = np.resize(np.array([limits.min, limits.max, 1, 0], name), count)
        found[f"in_{name.upper().replace('FLOAT', 'FP')}"] = values.reshape(shape)
    found["in_BOOL"] = np.resize(np.array([True, False, True]), count).reshape(shape)
    found["in_BYTES"] = np.resize(np.array(["Lviv", "", "Île \N{SNOWMAN}", "a\0b"], object), count).reshape(shape)
    found["in_scalar"] = np.array(0.1, np.float32)
    return found
