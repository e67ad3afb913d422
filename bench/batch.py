"""The rows of a Parquet file, scored by `pilotlight batch` and by the loops that people write.

Every side runs in a process of its own, from its start to its end. What counts is the processor time of it and of its
children per row, and the most memory that one of its processes had.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import dataset, parquet

from batch_sides import ONE_BY_ONE
from figures import Measured, Round
from pilotlight.model.lock import load_lock
from progress import Watch
from race import RaceError
from sample import LOCK, SAMPLE

_GROUP = 50_000
_SIDES = Path(__file__).with_name("batch_sides.py")
_TOLERANCE = 1e-5

# Runs a command, and prints what it and its children took. A process inherits the peak memory of the one that starts
# it, which has to be a small one: this benchmark has the rows of a whole file.
_USAGE = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))
sys.exit(code)
"""

TITLES = {
    "bare": "pyarrow and a bare session.run",
    "pilotlight": "Pilotlight batch, one process",
    "pilotlight_two": "Pilotlight batch, two processes",
    "pandas": "pandas + joblib",
    "rows": "one row at a time",
}


def measured(rows: int, rounds: int, watch: Watch) -> Mapping[str, Any]:
    """Return each side's processor seconds a row, seconds on the wall a row, and most memory, by round."""
    with TemporaryDirectory(prefix="pilotlight-bench-") as name:
        folder = Path(name)
        file = folder / "rows.parquet"
        watch.says(f"writing {rows:,} rows")
        write_rows(file, rows)
        done: list[Round] = []
        for number in range(rounds):
            sides = list(TITLES)[number % len(TITLES) :] + list(TITLES)[: number % len(TITLES)]
            found = {}
            for side in sides:
                watch.says(f"round {number + 1}: {TITLES[side]}")
                found[side] = _run(side, file, folder / f"{number}-{side}", rows)
            _check(folder, number)
            done.append({side: found[side] for side in TITLES})
    return {"titles": TITLES, "rows": rows, "rounds": done}


def write_rows(file: Path, rows: int) -> None:
    """Write rows of the sample's features in row groups, from a fixed seed."""
    names = load_lock(LOCK).model.signature.feature_names
    random = np.random.default_rng(0)
    schema = pa.schema([(name, pa.float32()) for name in names])
    with parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, _GROUP):
            values = random.random((min(_GROUP, rows - start), len(names)), dtype=np.float32) * 30
            writer.write_table(pa.table(list(values.T.copy()), schema=schema))


def _run(side: str, file: Path, result: Path, rows: int) -> Measured:
    began = time.monotonic()
    command = [sys.executable, "-I", "-S", "-c", _USAGE, *_command(side, file, result)]
    done = subprocess.run(command, capture_output=True, check=False)
    took = time.monotonic() - began
    if done.returncode:
        raise RaceError(f"{TITLES[side]} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    processor, peak = json.loads(done.stdout)
    count = min(rows, ONE_BY_ONE) if side == "rows" else rows
    return {"processor": processor / count, "wall": took / count, "peak": peak * 1024}


def _command(side: str, file: Path, result: Path) -> Sequence[str]:
    if side not in ("pilotlight", "pilotlight_two"):
        return [sys.executable, str(_SIDES), side, str(file), str(result)]
    options = ["--lock", str(LOCK), "--store", (SAMPLE / "store").as_uri()]
    workers = "2" if side == "pilotlight_two" else "1"
    return [
        sys.executable,
        "-m",
        "pilotlight_cli.main",
        "batch",
        str(file),
        str(result),
        *options,
        "--workers",
        workers,
    ]


def _check(folder: Path, number: int) -> None:
    """Raise RaceError unless all sides have the same results."""
    expected = _probabilities(folder / f"{number}-bare")
    for side, title in TITLES.items():
        found = _probabilities(folder / f"{number}-{side}")
        if not len(found) or not np.allclose(found, expected[: len(found)], atol=_TOLERANCE):
            raise RaceError(f"{title} has other results than {TITLES['bare']}")


def _probabilities(result: Path) -> np.ndarray[Any, Any]:
    column = dataset.dataset(result, format="parquet").to_table(columns=["probability_benign"])
    found: np.ndarray[Any, Any] = column.column(0).to_numpy()
    return found
