"""Load a model whose session has two threads, fork again and again, and print the threads and answers of each child."""

from __future__ import annotations

import os
import sys
from array import array
from pathlib import Path

from engines import load
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32, Tensor


def main(file: str, width: str, children: str) -> None:
    """Print for a child its tasks before a prediction, how many more there are then, how many answers, their sum."""
    shape = (-1, int(width))
    signature = Signature((Input("features", FP32, shape, "tensor"),), (Output("scores", FP32, (-1, 3), "tensor"),))
    model = load("onnxruntime-c", Path(file), signature, threads=2, forks=True)
    rows = Tensor(FP32, (16, int(width)), array("f", [0.25] * 16 * int(width)))
    for _ in range(int(children)):
        if not (pid := os.fork()):
            before = tasks()
            answers = {tuple(model.predict([rows])[0].values()) for _ in range(20)}
            print(before, tasks() - before, len(answers), round(sum(next(iter(answers))), 3), flush=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    print(tasks(), "0", "1", round(sum(model.predict([rows])[0].values()), 3), flush=True)


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


if __name__ == "__main__":
    main(*sys.argv[1:])
