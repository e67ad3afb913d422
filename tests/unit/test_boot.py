from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from doubles import MemoryStore, Records
from pilotlight.boot import Platform, boot
from pilotlight.errors import FormatError, ModelError, SettingsError
from pilotlight.http.messages import Request
from pilotlight.start.machine import Machine
from pilotlight.telemetry import Report
from repository import LOCK, SAMPLE

KEY = "breast-cancer/1/model.onnx"

# What requests need is imported once a store was asked, and the store answers after it.
FIRST = """
import sys, threading, time
from pathlib import Path
from pilotlight.boot import Platform, boot
from pilotlight.errors import ObjectRefused

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "pilotlight.service":
            found.append(asked.wait(60))

class Store:
    def fetch(self, key, sink, timeout):
        asked.set()
        end = time.monotonic() + 60
        while "pilotlight.service" not in sys.modules and time.monotonic() < end:
            time.sleep(0.001)
        found.append("pilotlight.service" in sys.modules)
        answered.set()
        raise ObjectRefused("404")

found, asked, answered = [], threading.Event(), threading.Event()
sys.meta_path.insert(0, Finder)
platform = Platform(Path(sys.argv[1]), {"s3": lambda _: Store()}, lambda *_: print, 0.1, time.monotonic())
try:
    boot(platform, {"PILOTLIGHT_STORE": "s3://bucket", "TMPDIR": sys.argv[2]})
except ObjectRefused:
    pass
sys.exit(not answered.wait(60) or found[:2] != [True, True])
"""


class Platforms:
    """A platform whose records are kept, with the level and the namespace that they were to be written with."""

    def __init__(self, folder: Path) -> None:
        self.records = Records()
        self.asked: list[tuple[str, str]] = []
        self.store = MemoryStore({KEY: (SAMPLE / "model.onnx").read_bytes()})
        self.platform = Platform(folder, {"s3": self._open}, self._reporter, deadline=300.0, started=0.0)

    def _open(self, url: str) -> MemoryStore:
        assert url == "s3://bucket/models"
        return self.store

    def _reporter(self, level: str, namespace: str) -> Report:
        self.asked.append((level, namespace))
        return self.records


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PILOTLIGHT_STORE": "s3://bucket/models", "TMPDIR": str(tmp_path)}


def test_a_function_starts_from_its_lock_alone(environ: dict[str, str]) -> None:
    platforms = Platforms(LOCK.parent)
    service, loader = boot(platforms.platform, environ)
    assert loader.state == "ready"
    assert json.loads(service.handle(Request("GET", "/health")).body)["model_name"] == "breast-cancer"
    assert platforms.records.cold_starts[0].phases_ms.keys() >= {"import", "lock", "fetch", "runtime", "load", "total"}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"PILOTLIGHT_STORE": ""}, SettingsError, "PILOTLIGHT_STORE is ''"),
        ({"PILOTLIGHT_STORE": "gs://bucket"}, SettingsError, "expected s3:// or file://"),
        ({"PILOTLIGHT_LOCK": "nowhere"}, FormatError, "no lock at .*nowhere; write one with 'pilotlight pin'"),
        ({"PILOTLIGHT_LOCK": ""}, FormatError, "cannot read the lock at .*: Is a directory"),
    ],
)
def test_what_can_never_start_leaves_a_line_and_fails(
    change: dict[str, str], kind: type[Exception], message: str, environ: dict[str, str]
) -> None:
    platforms = Platforms(LOCK.parent)
    with pytest.raises(kind, match=message):
        boot(platforms.platform, environ | change)
    (record,) = platforms.records.cold_starts
    assert record.state == "failed"
    assert record.error.startswith(kind.__name__)


def test_a_failed_start_counts_in_the_namespace_that_was_set(environ: dict[str, str]) -> None:
    platforms = Platforms(LOCK.parent)
    with pytest.raises(FormatError):
        boot(platforms.platform, environ | {"PILOTLIGHT_LOCK": "nowhere", "PILOTLIGHT_METRICS_NAMESPACE": "Mine"})
    assert platforms.asked[-1] == ("INFO", "Mine")


def test_libraries_make_pools_of_as_many_threads_as_a_prediction_may_use_unless_told_otherwise(
    environ: dict[str, str],
) -> None:
    platform = replace(Platforms(LOCK.parent).platform, machine=lambda: Machine(processors=2))
    environ["OMP_NUM_THREADS"] = "7"
    boot(platform, environ)
    assert (environ["OPENBLAS_NUM_THREADS"], environ["OMP_NUM_THREADS"]) == ("2", "7")


def test_a_model_that_cannot_fit_fails_the_start_before_anything_is_fetched(environ: dict[str, str]) -> None:
    platforms = Platforms(LOCK.parent)
    with pytest.raises(ModelError, match="does not fit into memory"):
        boot(replace(platforms.platform, machine=lambda: Machine(memory=1 << 20, free=1 << 10)), environ)
    (record,) = platforms.records.cold_starts
    assert (record.state, record.model_name, platforms.store.fetched) == ("failed", "breast-cancer", [])


def test_a_collector_that_cannot_be_reached_by_its_variable_fails_the_start(environ: dict[str, str]) -> None:
    platforms = Platforms(LOCK.parent)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT is 'collector'"):
        boot(platforms.platform, environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector"})
    (record,) = platforms.records.cold_starts
    assert (record.state, "OTEL_EXPORTER_OTLP_ENDPOINT" in record.error) == ("failed", True)


def test_a_platform_that_primes_has_predicted_when_its_start_is_over(environ: dict[str, str]) -> None:
    platforms = Platforms(LOCK.parent)
    boot(replace(platforms.platform, primes=True), environ)
    assert "prime" in platforms.records.cold_starts[0].phases_ms


def test_the_golden_samples_lie_beside_the_lock(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "model.lock").write_bytes(LOCK.read_bytes())
    platforms = Platforms(tmp_path)
    with pytest.raises(FormatError, match="golden.json: cannot be read"):
        boot(replace(platforms.platform, primes=True), environ)
    assert platforms.records.cold_starts[0].state == "failed"


def test_the_store_is_asked_before_what_requests_need_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST, str(LOCK.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
