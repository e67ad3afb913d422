"""ONNX Runtime's two engines on the sample model: `python bench/onnx_engines.py [ROUNDS]`.

Each round starts a fresh process on each engine, which imports the engine's library, makes a first session, loads the
model and runs it once. A cold start does the first two while it waits for the store. All that is in processor time,
which other work on the machine changes least. It goes on with the same row, and then with a thousand, until the fastest
of many short series is known. Medians over the rounds; the processes take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from pilotlight.model.formats import FORMATS
from sample import LOCK, SAMPLE

_CHILD = """
import sys, time
from array import array
from dataclasses import replace
from pathlib import Path
from pilotlight import runtimes
from pilotlight.model.lock import load_lock
from pilotlight.model.tensor import FP32, Tensor

model = load_lock(Path(sys.argv[1])).model
model = replace(model, runtime=replace(model.runtime, engine=sys.argv[3]))
rows = {count: [Tensor(FP32, (count, 30), array("f", range(30)) * count)] for count in (1, 1000)}
times = [time.process_time()]
if sys.argv[3] == "onnxruntime-python":
    from pilotlight.runtimes.onnx import binding
    binding.library()
else:
    from pilotlight.runtimes.onnx import c_api
    c_api.library(model.runtime.packages)
times.append(time.process_time())
runtimes.preload(model)
times.append(time.process_time())
loaded = runtimes.load(model, Path(sys.argv[2]), 1)
loaded.predict(rows[1], 25.0)
times.append(time.process_time())
took = [(after - before) * 1e3 for before, after in zip(times, times[1:])]

def fastest(count, calls):
    series = []
    for _ in range(60):
        began = time.perf_counter()
        for _ in range(calls):
            loaded.predict(rows[count], 25.0)
        series.append((time.perf_counter() - began) / calls)
    return min(series)

memory = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print([*took, fastest(1, 100) * 1e6, fastest(1000, 3) * 1e6, int(memory) / 1000])
"""

_HEADERS = ("engine", "library", "first session", "load, first run", "1 row", "1000 rows", "memory")


def main(rounds: str = "9") -> None:
    """Measure, and print a table."""
    found: dict[str, list[list[float]]] = {engine: [] for engine in FORMATS["onnx"].engines}
    for _ in range(int(rounds)):
        for engine, measured in found.items():
            measured.append(_measure(engine))
    rows: list[tuple[str, ...]] = [_HEADERS]
    for engine, measured in found.items():
        *starts, one, many, memory = (median(values) for values in zip(*measured, strict=True))
        rows.append((engine, *(f"{ms:.1f} ms" for ms in starts), f"{one:.1f} us", f"{many:.0f} us", f"{memory:.0f} MB"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]))


def _measure(engine: str) -> list[float]:
    command = [sys.executable, "-c", _CHILD, str(LOCK), str(SAMPLE), engine]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
