"""What a fetch from S3 takes: what it imports, and a small and a large object over TLS, beside boto3.

    .venv/bin/python bench/fetch.py

Every figure is the median of fresh processes, one after the other in turns. The store is the server with S3's shape in
`object_server.py`: TLS, 20 ms to the first byte, 80 MB/s on a connection.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from object_store import object_store

ROOT = Path(__file__).parents[1]
ROUNDS = 7
SIZES = {"0.1 MB": 100_000, "100 MB": 100_000_000}

IMPORTS = {
    "socket, ssl, hmac": "import socket, ssl, hmac",
    "the same and http.client": "import socket, ssl, hmac, http.client",
    "boto3 and its client": "import boto3; boto3.client('s3')",
}

OURS = """
from pathlib import Path
from pilotlight.model.lock import File
from pilotlight.fetch.download import Partial
from s3_store import S3Store
partial = Partial(Path(folder), File("model", size, ""))
incoming = partial.begin(lambda: None)
S3Store("s3://models").fetch(str(size), incoming, 60.0)
partial.update_digest()
assert not partial.missing
"""
ONE_STREAM = f"import pilotlight.fetch.ranges\npilotlight.fetch.ranges._MAX_RANGE = 1 << 40\n{OURS}"
BOTO3 = """
import boto3, hashlib
boto3.client("s3").download_file("models", str(size), folder + "/model")
with open(folder + "/model", "rb") as file:
    hashlib.file_digest(file, "sha256")
"""
FETCHES = {"ours": OURS, "ours, in one stream": ONE_STREAM, "boto3's download_file": BOTO3}


def took(program: str, environ: Mapping[str, str]) -> float:
    """Return what a program took in a fresh process, without the interpreter's start: milliseconds."""
    timed = f"import time as _t\n_b = _t.perf_counter()\n{program}\nprint((_t.perf_counter() - _b) * 1000)"
    done = subprocess.run([sys.executable, "-c", timed], env=environ, capture_output=True, text=True, check=True)
    return float(done.stdout)


def medians(programs: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, float]:
    """Return the medians of all, run in turns, the first round left out."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(ROUNDS + 1):
        for name, program in programs.items():
            with tempfile.TemporaryDirectory() as folder:
                took_ms = took(f"folder = {folder!r}\n{program}", environ)
            if number:
                found[name].append(took_ms)
    return {name: statistics.median(all_of_it) for name, all_of_it in found.items()}


def main() -> None:
    """Measure and print."""
    began = time.monotonic()
    path = os.pathsep.join(str(ROOT / folder) for folder in ("shared", "functions/aws/predict"))
    ours = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "AWS_CONFIG_FILE": os.devnull, "AWS_DEFAULT_REGION": "x"}
    show("imports", medians(IMPORTS, ours))
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        models.mkdir()
        for size in SIZES.values():
            (models / str(size)).write_bytes(bytes(size))
        with object_store(models, Path(folder)) as store:
            for label, size in SIZES.items():
                programs = {name: f"size = {size}\n{program}" for name, program in FETCHES.items()}
                show(f"fetch of {label}, with its imports", medians(programs, {**ours, **store.environ()}))
    sys.stdout.write(f"\n{time.monotonic() - began:.0f} s\n")


def show(title: str, found: Mapping[str, float]) -> None:
    """Print a table, with ratios to the last line."""
    *_, last = found.values()
    sys.stdout.write(f"\n{title}\n")
    for name, took_ms in found.items():
        sys.stdout.write(f"  {name:28} {took_ms:8.0f} ms {took_ms / last:6.2f}\n")


if __name__ == "__main__":
    main()
