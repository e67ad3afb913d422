"""How much memory many runs leave behind: `PYTHONPATH=tests/support python tests/unit/runtimes/growth.py ENGINE CALLS`.

Strings, strings with zeros in them, numbers in an array, numbers in bytes, and one run in a hundred that fails.
"""

from __future__ import annotations

import gc
import re
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import models
import onnx_models
from engines import load
from pilotlight.errors import InvalidRequest
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, INT64, Tensor

WORDS = Signature((Input("x", BYTES, (-1,), "tensor"),), (Output("y", BYTES, (-1,), "tensor"),))
SIGNAL = Signature(
    (Input("signal", FP32, (-1, 2, 3), "tensor"),),
    (Output("doubled", FP32, (-1, 2, 3), "tensor"), Output("sums", FP32, (-1, 2), "tensor")),
)
LOOKUP = Signature((Input("index", INT64, (-1, 1), "tensor"),), (Output("entry", FP32, (-1, 1), "tensor"),))


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def runs(engine: str, folder: Path) -> Callable[[], None]:
    """Return a hundred runs; half of them are watched."""
    words = load(engine, onnx_models.identity(folder, onnx_models.ELEMENTS["BYTES"], "N"), WORDS)
    numbers = load(engine, models.plain_tensors(folder), SIGNAL)
    lookup = load(engine, onnx_models.lookup(folder), LOOKUP)
    plain, zeros = (Tensor(BYTES, (3,), ["a" * 300, "b", word]) for word in ("c", "c\0d"))
    signal, raw = Tensor(FP32, (8, 2, 3), array("f", range(48))), Tensor(FP32, (1, 2, 3), bytes(24))
    beyond = Tensor(INT64, (1, 1), array("q", [7]))

    def hundred() -> None:
        for _ in range(24):
            words.predict([plain])
            words.predict([zeros], 30.0)
            numbers.predict([signal], 30.0)
            numbers.predict([raw])
        for _ in range(3):
            numbers.predict([raw], 30.0)
        try:
            lookup.predict([beyond])
        except InvalidRequest as error:
            assert "out of data bounds" in str(error.__cause__)
        else:
            raise AssertionError("an index that is not in the table was found there")

    return hundred


def main(engine: str, calls: str) -> None:
    """Run, after some runs that are not counted, and print by how many bytes the process has grown."""
    with TemporaryDirectory() as folder:
        hundred = runs(engine, Path(folder))
        for _ in range(50):
            hundred()
        before = resident()
        for _ in range(int(calls) // 100):
            hundred()
        print(resident() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
