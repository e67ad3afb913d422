"""A graph with weights of 8 bits, measured beside the one that it was made from."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable

import numpy as np

from pilotlight_cli.converting.child.compare import opened
from pilotlight_cli.converting.child.errors import CannotConvert

_ROUNDS = 30


def quantize(job: dict[str, Any]) -> dict[str, Any]:
    """Write `quantized` from `model`, and run both on the samples. Raise CannotConvert.

    The result is empty if the graph has no weights that can be quantized.

    Times are milliseconds of processor time for all samples on one thread, the medians of rounds that take turns.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises to prepare the graph, which ONNX Runtime has done for us
    quantize_dynamic(job["model"], job["quantized"], weight_type=QuantType.QInt8)
    if _operators(job["model"]) == _operators(job["quantized"]):
        return {}
    feeds = [{name: _array(values) for name, values in sample.items()} for sample in job["samples"]]
    runs = [_runner(job[name], feeds) for name in ("model", "quantized")]
    expected, found = (run() for run in runs)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for run, measured in zip(runs, times):
            started = time.thread_time()
            run()
            measured.append(1000 * (time.thread_time() - started))
    agrees, largest = True, 0.0
    for one, other in zip(expected, found):
        if one.dtype.kind != "f":
            agrees = agrees and bool((one == other).all())
            continue
        largest = max(largest, float(np.abs(one - other).max(initial=0.0)))
        close = np.isclose(other, one, rtol=job["relative"], atol=job["absolute"], equal_nan=True)
        agrees = agrees and bool(close.all())
    sizes = [Path(job[name]).stat().st_size for name in ("model", "quantized")]
    return {"agrees": agrees, "largest": largest, "times": [median(each) for each in times], "sizes": sizes}


def _operators(model: str) -> list[str]:
    from onnx import load

    return sorted(node.op_type for node in load(model, load_external_data=False).graph.node)


def _runner(model: str, feeds: list[dict[str, Any]]) -> Callable[[], list[Any]]:
    session = opened(model)

    def run() -> list[Any]:
        try:
            return [output for feed in feeds for output in session.run(None, feed)]
        except Exception as error:  # ONNX Runtime has several
            first = str(error).strip().splitlines()[0]
            raise CannotConvert(f"the model fails on the golden samples: {first}") from error

    return run


def _array(values: dict[str, Any]) -> Any:  # noqa: ANN401
    return np.array(values["data"], values["dtype"]).reshape(values["shape"])
