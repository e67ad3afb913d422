"""What requests that run together gain: `python bench/batching.py`.

The container's server with a network of 34 MB and random weights, one row a request, in one process, under the load of
64 connections on loopback; once with each request by itself, and once with `PILOTLIGHT_SERVER_BATCH`. Both run all the
time and take turns.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from figures import Measured, Round, ratios, values
from http_wire import post
from large_models import mlp
from pilotlight_cli.local.container_runtime import container_runtime
from pilotlight_cli.local.function import passed_on
from pilotlight_cli.local.server import prepare
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.sandbox.inspection import inspect
from pilotlight_cli.stores import open_store
from throughput import answer_seconds

CONNECTIONS = 64
SIDES: Mapping[str, Mapping[str, str]] = {"alone": {}, "together": {"PILOTLIGHT_SERVER_BATCH": "64"}}

_WIDTHS = (30, 2048, 2048, 2048, 10)
_WARM_UP = 1.0  # seconds that do not count


def measured(rounds: int, seconds: float, widths: tuple[int, ...] = _WIDTHS) -> list[Round]:
    """Return each round's requests a second and the 99th percentile of an answer's seconds, by side."""
    request = post("/predict", {"features": [0.5] * widths[0]})
    with TemporaryDirectory(prefix="pilotlight-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        lock = _published(folder, widths)
        ports = {side: stack.enter_context(_server(folder / side, lock, given)) for side, given in SIDES.items()}
        for port in ports.values():
            _load(port, request, _WARM_UP)
        return [{side: _load(port, request, seconds) for side, port in ports.items()} for _ in range(rounds)]


def table(rounds: Sequence[Round]) -> str:
    """Return a line for each side, and what the second makes of the first."""
    lines = [
        f"{side}: {values(rounds, side, 'requests_per_second').median:.0f} requests/s, "
        f"p99 {values(rounds, side, 'p99').median * 1000:.0f} ms"
        for side in SIDES
    ]
    more, late = (ratios(rounds, "together", "alone", measure) for measure in ("requests_per_second", "p99"))
    lines.append(f"together over alone: {more.median:.2f} of the requests, {late.median:.2f} of the p99")
    return "\n".join(lines) + "\n"


def _published(folder: Path, widths: tuple[int, ...]) -> Path:
    """Publish the network to a store in a folder, and return the lock that pins it."""
    file = folder / "model.onnx"
    mlp(file, widths)
    store = open_store(_store(folder))
    inspection = inspect(file, format="onnx", signature=None, golden=None, allow=())
    publish(store, inspection, "mlp", clock=lambda: datetime.now(UTC), progress=lambda _: None)
    lock = folder / "lock" / "model.lock"
    lock.parent.mkdir()
    pin(store, "mlp:1", lock)
    return lock


def _store(folder: Path) -> str:
    return (folder / "models").as_uri()


@contextmanager
def _server(folder: Path, lock: Path, settings: Mapping[str, str]) -> Iterator[int]:
    """Run the server in one process; yield its port."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    own = {"PILOTLIGHT_STORE": _store(folder.parent), "PILOTLIGHT_SERVER_WORKERS": "1", "TMPDIR": str(temporary)}
    environ = {**passed_on(os.environ), "PILOTLIGHT_THREADS": "1", "PILOTLIGHT_LOG_LEVEL": "ERROR", **settings, **own}
    with container_runtime(prepare("container", lock, folder / "function", environ, "predict")) as runtime:
        yield urlsplit(runtime.url).port or 0


def _load(port: int, request: bytes, seconds: float) -> Measured:
    answers = sorted(answer_seconds(port, request, connections=CONNECTIONS, seconds=seconds))
    return {"requests_per_second": len(answers) / seconds, "p99": answers[len(answers) * 99 // 100]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/batching.py")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    print(table(measured(given.rounds, given.seconds)), end="")


if __name__ == "__main__":
    main()
