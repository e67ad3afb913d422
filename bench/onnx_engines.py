"""ONNX Runtime's two engines on the sample model: `python bench/onnx_engines.py [ROUNDS]`.

Each round starts a fresh process on each engine, which imports the engine, loads the model and runs it once; that is in
processor time, which other work on the machine changes least. It goes on with the same row, and then with a thousand,
until the fastest of many short series is known. Medians over the rounds; the processes take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from pilotlight.description import FORMATS
from pilotlight_cli.project import LOCK, SAMPLE

_CHILD = """
import sys, time
from array import array
from dataclasses import replace
from pathlib import Path
from pilotlight import runtimes
from pilotlight.description import load_lock
from pilotlight.tensor import FP32, Tensor

began = time.process_time()
model = load_lock(Path(sys.argv[1])).model
loaded = runtimes.load(replace(model, runtime=replace(model.runtime, engine=sys.argv[3])), Path(sys.argv[2]), 1)
rows = {count: [Tensor(FP32, (count, 30), array("f", range(30)) * count)] for count in (1, 1000)}
loaded.predict(rows[1], 25.0)
first = time.process_time() - began

def fastest(count, calls):
    series = []
    for _ in range(60):
        began = time.perf_counter()
        for _ in range(calls):
            loaded.predict(rows[count], 25.0)
        series.append((time.perf_counter() - began) / calls)
    return min(series)

memory = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print([first * 1e3, fastest(1, 100) * 1e6, fastest(1000, 3) * 1e6, int(memory) / 1000])
"""

_HEADERS = ("engine", "import, load, first run", "1 row", "1000 rows", "memory")


def main(rounds: str = "9") -> None:
    """Measure, and print a table."""
    found: dict[str, list[list[float]]] = {engine: [] for engine in FORMATS["onnx"][1]}
    for _ in range(int(rounds)):
        for engine, measured in found.items():
            measured.append(_measure(engine))
    rows = [_HEADERS]
    for engine, measured in found.items():
        first, one, many, memory = (median(values) for values in zip(*measured, strict=True))
        rows.append((engine, f"{first:.0f} ms", f"{one:.1f} us", f"{many:.0f} us", f"{memory:.0f} MB"))
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
