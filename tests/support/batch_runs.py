"""Runs of `pilotlight batch` with the sample's model, in this process and in one that can be killed."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from pilotlight.model.lock import load_lock
from pilotlight_cli.batching.run import Asked, prepare, run
from repository import LOCK, SAMPLE

NAMES = load_lock(LOCK).model.signature.feature_names
STORE = (SAMPLE / "store").as_uri()

# A run in a process of its own, of what its argument asks for.
_PROGRAM = """
import json, sys
from contextlib import nullcontext
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from batch_runs import Watched, asked_of
from pilotlight_cli.batching.run import prepare, run
run(prepare(asked_of(json.loads(sys.argv[2]))), lambda _: nullcontext(Watched()))
"""


@dataclass
class Watched:
    """What a run said of its progress."""

    rows: int = 0
    size: int = 0

    def advance(self, rows: int, size: int) -> None:
        """See `Watch.advance`."""
        self.rows += rows
        self.size += size


def ask(source: Path | str, output: Path | str, **options: Any) -> Asked:
    """Return what to ask for, of the sample's model."""
    return Asked(str(source), str(output), options.pop("lock", LOCK), options.pop("store", STORE), **options)


def asked_of(document: dict[str, Any]) -> Asked:
    """Return what a process was asked for."""
    return Asked(**{**document, "lock": Path(document["lock"]), "keep": tuple(document["keep"])})


def scored(asked: Asked, watched: Watched | None = None) -> dict[str, Any]:
    """Run a job and return its manifest."""
    return run(prepare(asked), lambda _: nullcontext(watched or Watched()))


@contextmanager
def running(asked: Asked) -> Iterator[subprocess.Popen[str]]:
    """Run a job in a process of its own, which is killed with the body."""
    document = json.dumps(asdict(asked) | {"lock": str(asked.lock)})
    command = [sys.executable, "-c", _PROGRAM, str(Path(__file__).parent), document]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sample_rows(count: int, seed: int = 0) -> pa.Table:
    """Return rows for the sample's model, with an id."""
    values = (np.random.default_rng(seed).random((count, len(NAMES))) * 30).astype("f4")
    return pa.table({"id": range(count), **{name: values[:, index] for index, name in enumerate(NAMES)}})


def results(output: Path) -> dict[str, bytes]:
    """Return the files of an output by name, but for the manifest, which says how long it took."""
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.name != "_manifest.json"}


def bucket_files(good: int, corrupt: int) -> dict[str, bytes]:
    """Return files of rows by their names: `good` ones of ten rows, whose last is no number, and some cut short."""
    table = io.BytesIO()
    csv.write_csv(sample_rows(9), table)
    content = table.getvalue() + b"9" + b",x" * len(NAMES) + b"\n"
    files = {f"{number:03}.csv": content for number in range(good)}
    lines = "".join(f"{json.dumps(row)}\n" for row in sample_rows(9).to_pylist()).encode()
    return files | {f"cut-{number}.jsonl.gz": gzip.compress(lines)[:-200] for number in range(corrupt)}
