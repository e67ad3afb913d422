"""Loading an ONNX model once, as a function does, and measuring it. The process must be a fresh one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotlight import runtimes
from pilotlight.errors import ModelError, origin
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.json_document import Node
from pilotlight.model.lock import read_runtime
from pilotlight.model.signature import Signature, read_signature
from pilotlight.model.tensor import Tensor
from pilotlight.runtimes.arrays import to_numpy
from pilotlight_cli.sandbox.child.resources import median_seconds, peak_bytes
from pilotlight_cli.sandbox.child.samples import generate, input_tensors, shared_vocabulary
from pilotlight_cli.sandbox.job import provisional_description


def measure(document: dict[str, Any]) -> dict[str, Any]:
    """Load the model in `files` and run it, on one thread, on the samples or on generated inputs.

    `outputs` names a file of arrays: with `compare` the outputs are compared with it, without they are written to it.
    Times are milliseconds of processor time, which on one thread, with the files cached, is the real time on an idle
    machine, and does not depend on other load. It is the thread's clock, as Linux lets the process's tick in
    milliseconds once there is a limit (RLIMIT_CPU). The runtime's import and first session, which a start does before
    it has a file, do not count. `peak_bytes` is the process's largest resident size. Raise ModelError.
    """
    files = [Path(file) for file in document["files"]]
    signature = read_signature(Node(document["signature"]))
    golden = read_golden(json.dumps(document["golden"]).encode())
    batches = _inputs(golden, signature, document["vocabulary"])
    runtime = read_runtime(Node(document["runtime"]), document["format"])
    model = provisional_description(files, document["format"], runtime, signature, ((), ()))
    runtimes.preload(model)

    started = time.thread_time()
    loaded = runtimes.load(model, files[0].parent, threads=1)
    load = time.thread_time() - started
    times, results = _run(loaded, batches)
    warm = median_seconds(lambda: loaded.predict(batches[0]))
    peak = peak_bytes()
    found = {
        "load_ms": load * 1000,
        "first_ms": times[0] * 1000,
        "warm_ms": warm * 1000,
        "peak_bytes": peak,
    }
    outputs = Path(document["outputs"])
    if document["compare"]:
        return found | _compare(outputs, results, golden)
    _write(outputs, results)
    return found


def _inputs(golden: Golden, signature: Signature, vocabulary: Sequence[str]) -> list[tuple[Tensor, ...]]:
    """Return the publisher's inputs, or generate one row with integers of at most 1, an index that any table has."""
    if golden.generated:
        made = generate(signature, shared_vocabulary(signature, vocabulary), rows=1, below=2)
        if made is None:
            raise ModelError(
                "no strings can be generated for this model, so it cannot be measured; give samples with --golden"
            )
        golden = replace(golden, samples=made.samples)
    return [input_tensors(sample, signature, f"golden sample {index}") for index, sample in enumerate(golden.samples)]


def _run(loaded: runtimes.Model, batches: Sequence[tuple[Tensor, ...]]) -> tuple[list[float], list[tuple[Tensor, ...]]]:
    times, results = [], []
    for batch in batches:
        started = time.thread_time()
        try:
            results.append(loaded.predict(batch))
        except Exception as error:  # a model can raise any error
            raise ModelError(f"the model fails: {origin(error)}; give inputs that it accepts with --golden") from error
        times.append(time.thread_time() - started)
    return times, results


def _write(outputs: Path, results: Sequence[Sequence[Tensor]]) -> None:
    import numpy as np

    np.savez(outputs, *_arrays(results))


def _compare(outputs: Path, results: Sequence[Sequence[Tensor]], golden: Golden) -> dict[str, Any]:
    """Return the largest difference of two numbers, and whether all are within the samples' tolerance."""
    import numpy as np

    largest, agrees = 0.0, True
    with np.load(outputs) as expected:
        for index, array in enumerate(_arrays(results)):
            expected_array = expected[f"arr_{index}"]
            if expected_array.shape != array.shape:
                return {"largest": None, "agrees": False}
            if array.dtype.kind != "f":
                agrees = agrees and bool((array == expected_array).all())
                continue
            found, wide = array.astype(np.float64), expected_array.astype(np.float64)
            close = np.isclose(found, wide, rtol=golden.relative, atol=golden.absolute, equal_nan=True)
            agrees = agrees and bool(close.all())
            apart = np.abs(found - wide)[np.isfinite(found) & np.isfinite(wide)]
            largest = max(largest, float(apart.max(initial=0.0)))
    return {"largest": largest, "agrees": agrees}


def _arrays(results: Sequence[Sequence[Tensor]]) -> list[Any]:
    """Return all outputs, strings in a form that a file can have."""
    return [_array(tensor) for result in results for tensor in result]


def _array(tensor: Tensor) -> Any:  # noqa: ANN401 - an array of any type
    import numpy as np

    if not tensor.datatype.numpy:  # numpy has no BF16; FP32 has all its values
        return np.array(tensor.values(), np.float32).reshape(tensor.shape)
    array = to_numpy(tensor)
    return array.astype(str) if array.dtype == object else array
