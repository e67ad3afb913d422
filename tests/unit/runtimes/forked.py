"""Load a model that loops, and fork twice: what each child gets from it, a line for each answer."""

from __future__ import annotations

import os
import sys
from array import array
from pathlib import Path

from engines import load
from pilotlight.errors import PredictionTimeout
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32, INT64, Tensor

SIGNATURE = Signature(
    (Input("x", FP32, (-1,), "tensor"), Input("trips", INT64, (), "tensor")), (Output("y", FP32, (-1,), "tensor"),)
)


def main(engine: str, file: str) -> None:
    """In the second child the thread that ends late runs was there before the fork, with a deadline far away."""
    model = load(engine, Path(file), SIGNATURE)

    def say(trips: int, timeout: float) -> None:
        try:
            inputs = [Tensor(FP32, (1,), array("f", [1])), Tensor(INT64, (), array("q", [trips]))]
            print(model.predict(inputs, timeout)[0].values()[0], flush=True)
        except PredictionTimeout:
            print("late", flush=True)

    def child() -> None:
        for trips, timeout in ((5, 100.0), (2**62, 0.2), (5, 100.0)):
            say(trips, timeout)

    for predicts_before in (False, True):
        if predicts_before:
            model.predict([Tensor(FP32, (1,), array("f", [1])), Tensor(INT64, (), array("q", [5]))], 100.0)
        pid = os.fork()
        if pid == 0:
            child()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
