"""Loads a model and runs it, in a process of its own: `load_once.py WHAT MODEL INPUTS THREADS`.

WHAT is `default`, for ONNX Runtime's session as one makes it, MODEL its file; or `ours`, for the function's own
runtime, MODEL the folder with lock and files. INPUTS is a folder with `inputs.json` and each tensor's bytes. Prints one
line of JSON: seconds from the file to the first run's end and of a later run, the most memory, and the first numbers of
the first output. It is run by a bare interpreter with the contestant's package on its path; what a cold start does
while it waits for the file does not count: importing the runtime and, in ours, making a first session.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_LATER = 5  # runs
_SHOWN = 16  # numbers of the first output that are held against the others'

Run = Callable[[], Sequence[float]]


def default(model: Path, inputs: Path) -> Callable[[], Run]:
    """Return a session with nothing set."""
    import numpy as np
    import onnxruntime

    types = {"FP32": np.float32, "INT64": np.int64}
    feeds = {
        each["name"]: np.frombuffer((inputs / each["name"]).read_bytes(), types[each["datatype"]]).reshape(
            each["shape"]
        )
        for each in json.loads((inputs / "inputs.json").read_bytes())
    }

    def load() -> Run:
        session = onnxruntime.InferenceSession(str(model))

        def run() -> list[float]:
            return session.run(None, feeds)[0].ravel()[:_SHOWN].tolist()  # type: ignore[no-any-return]

        return run

    return load


def ours(model: Path, inputs: Path, threads: int) -> Callable[[], Run]:
    """Return what a cold start does once the files are there."""
    from pilotlight import runtimes
    from pilotlight.model.lock import load_lock
    from pilotlight.model.tensor import DATATYPES, Tensor

    described = load_lock(model / "model.lock").model
    tensors = {
        each["name"]: Tensor(DATATYPES[each["datatype"]], tuple(each["shape"]), (inputs / each["name"]).read_bytes())
        for each in json.loads((inputs / "inputs.json").read_bytes())
    }
    feeds = [tensors[each.name] for each in described.signature.inputs]
    runtimes.preload(described)

    def load() -> Run:
        loaded = runtimes.load(described, model, threads)

        def run() -> Sequence[float]:
            data = loaded.predict(feeds)[0].data
            return memoryview(data).cast("B")[: 4 * _SHOWN].cast("f").tolist()  # type: ignore[arg-type]

        return run

    return load


def main(what: str, model: str, inputs: str, threads: str) -> None:
    """Measure and print."""
    folder = Path(inputs)
    load = default(Path(model), folder) if what == "default" else ours(Path(model), folder, int(threads))
    began = time.perf_counter()
    run = load()
    shown = run()
    first = time.perf_counter() - began
    later = []
    for _ in range(_LATER):
        began = time.perf_counter()
        run()
        later.append(time.perf_counter() - began)
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    found = {"first_run": first, "warm_run": sorted(later)[_LATER // 2], "peak": int(peak[1]) * 1024 if peak else 0}
    sys.stdout.write(json.dumps(found | {"shown": shown}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
