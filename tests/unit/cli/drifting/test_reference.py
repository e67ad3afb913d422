"""A reference from publish to the function: rows counted, stored, pinned, packaged, and the counts of its lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from doubles import Records
from pilotlight.boot import Platform, boot
from pilotlight.drift.reference import load_reference
from pilotlight.drift.verdict import judge
from pilotlight.errors import FormatError
from pilotlight.fetch import FolderStore
from pilotlight.http.messages import Request
from pilotlight.model.lock import load_lock
from pilotlight.service import Service
from pilotlight.telemetry import Summary
from pilotlight_cli.main import app
from pilotlight_cli.staging.sources import BATCH, KAFKA, PREDICT, RECORDS, add_pinned
from repository import SAMPLE

FEATURES = load_lock(SAMPLE / "model.lock").model.signature.feature_names


def rows(seed: int, count: int = 200, shift: float = 0.0) -> list[list[float]]:
    """Return rows of the sample's features, the first of which is shifted."""
    drawn = np.random.default_rng(seed).normal(15, 2, (count, len(FEATURES)))
    drawn[:, 0] += shift
    found: list[list[float]] = drawn.round(4).tolist()
    return found


def publish(folder: Path, values: Sequence[Sequence[float]], *options: str) -> Result:
    file = folder / "rows.json"
    file.write_text(json.dumps([dict(zip(FEATURES, row, strict=True)) for row in values]))
    store = ("--store", (folder / "store").as_uri())
    arguments = ["publish", str(SAMPLE / "model.onnx"), "--name", "churn", *store, "--reference", str(file), *options]
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.fixture
def lock(tmp_path: Path, published: Path, index: object) -> Path:
    """Return the lock of a version with a reference, which is published once."""
    if not (published / "model.lock").exists():
        pinning = ("pin", "churn", "--store", (published / "store").as_uri(), "--lock", str(published / "model.lock"))
        for done in (publish(published, rows(1)), CliRunner().invoke(app, pinning)):
            assert done.exit_code == 0, done.output
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model.lock"


def started(lock: Path) -> tuple[Service, Records]:
    records = Records()
    platform = Platform(
        lock.parent, {"s3": lambda _: FolderStore(lock.parent / "store")}, lambda *_: records, deadline=300, started=0.0
    )
    service, loader = boot(platform, {"PILOTLIGHT_STORE": "s3://bucket", "TMPDIR": str(lock.parent)})
    assert loader.state == "ready"
    return service, records


def ask(service: Service, values: Sequence[Sequence[float]]) -> None:
    body = json.dumps({"instances": values}).encode()
    answer = service.handle(Request("POST", "/predict_batch", {"content-type": "application/json"}, body))
    assert answer.status == 200, answer.body


def test_the_function_counts_in_the_bins_of_the_published_rows(lock: Path) -> None:
    model = load_lock(lock).model
    columns = load_reference(lock.with_name("reference.json"), model.signature)
    names = [column.bins.name for column in columns]
    assert names == [*FEATURES, "prediction", "probability_benign", "probability_malignant"]
    assert {sum(column.counts) for column in columns} == {200}

    service, records = started(lock)
    ask(service, rows(2, 100, shift=8.0))

    (line,) = [each for each in records.all if isinstance(each, Summary)]
    counts: Any = line.counts["counts"]
    assert (line.event, line.model_version, line.counts["rows"]) == ("drift", 1, 100)
    assert model.reference is not None
    assert line.counts["reference"] == model.reference.sha256[:16]
    levels = {
        column.bins.name: judge(column.bins, column.counts, own, len(columns)).level
        for column, own in zip(columns, counts, strict=False)
    }
    assert [name for name in FEATURES if levels.get(name) == "large"] == [FEATURES[0]]


def test_a_health_check_counts_nothing(lock: Path) -> None:
    service, records = started(lock)
    service.handle(Request("GET", "/health"))

    assert not [each for each in records.all if isinstance(each, Summary)]


def test_a_start_without_the_reference_fails_with_a_line(lock: Path) -> None:
    lock.with_name("reference.json").unlink()

    with pytest.raises(FormatError, match="cannot read the reference at .*: No such file .* run 'pilotlight pin'"):
        started(lock)


@pytest.mark.parametrize("function", [PREDICT, RECORDS, KAFKA, BATCH])
def test_each_function_with_the_model_has_the_reference(lock: Path, tmp_path: Path, function: str) -> None:
    out = tmp_path / "package"
    out.mkdir()
    add_pinned(lock, out, function)

    assert (out / "reference.json").read_bytes() == lock.with_name("reference.json").read_bytes()


@pytest.mark.parametrize(
    ("count", "message"), [(29, "rows.json: found 29 rows, expected at least 30"), (0, "expected at least 1 item")]
)
def test_too_few_rows_are_refused_and_nothing_is_published(tmp_path: Path, count: int, message: str) -> None:
    done = publish(tmp_path, rows(1, count))

    assert done.exit_code == 1
    assert message in done.output.replace("\n", " ")
    assert not list((tmp_path / "store").rglob("manifest.json"))
