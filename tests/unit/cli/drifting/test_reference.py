"""A reference from publish to the function: rows counted, stored, pinned, packaged, and the counts of its lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cloud_logging
import emf
import log_entries
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
from pilotlight_cli.aws import records as aws
from pilotlight_cli.drifting.lines import judge_lines
from pilotlight_cli.gcp import functions
from pilotlight_cli.gcp import records as gcp
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


def written(lock: Path, cloud: str, capsys: pytest.CaptureFixture[str], *batches: list[list[float]]) -> list[str]:
    """Return the lines that processes of a cloud's function write, one for each batch."""
    found = []
    for batch in batches:
        service, records = started(lock)
        ask(service, batch)
        reporter = emf.reporter if cloud == "aws" else cloud_logging.reporter
        capsys.readouterr()
        for record in records.all:
            reporter("INFO", "Pilotlight")(record)
        found += capsys.readouterr().out.splitlines()
    return found


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_lines_of_all_processes_are_compared_as_one(
    lock: Path, cloud: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [rows(seed, 100, shift=8.0) for seed in (3, 4, 5)]
    lines = written(lock, cloud, capsys, *batches)
    file = lock.with_name("lines.log")
    file.write_text("\n".join(["START RequestId: 1", "[1]", *lines, ""]))
    seen: list[str] = []

    class Client:
        """Both logs, as far as they are read: the lines that a function wrote, each with its time."""

        def get_paginator(self, _name: str) -> Client:
            return self

        def paginate(self, **wanted: object) -> list[dict[str, object]]:
            seen.append(str(wanted["logGroupName"]))
            stamps = [
                {"message": line, "timestamp": 1, "eventId": str(index), "logStreamName": "a"}
                for index, line in enumerate(lines)
            ]
            return [{"events": stamps[:2]}, {"events": stamps[2:]}]

        def json(self, *arguments: str) -> list[dict[str, object]]:
            seen.append(arguments[2])
            return [
                {**log_entries.to_entry(line), "insertId": str(index), "timestamp": "2026-12-03T09:00:00Z"}
                for index, line in enumerate(lines)
            ]

    if cloud == "aws":
        monkeypatch.setattr(aws, "client", lambda *_: Client())
        read = aws.reader(SimpleNamespace(region="eu-west-1", stack="churn"), "predict", ("drift",))  # type: ignore[arg-type]
    else:
        monkeypatch.setattr(functions, "deployed", lambda *_: SimpleNamespace(service="churn"))
        google = SimpleNamespace(gcloud=Client(), settings=SimpleNamespace(region="europe-west1", function="churn"))
        read = gcp.reader(google, "predict", ("drift",))  # type: ignore[arg-type]
    from_log = judge_lines([entry.record for entry in read(datetime.now(UTC))], lock)

    done = CliRunner().invoke(app, ["drift", "--lines", str(file), "--lock", str(lock), "--json", "--fail-on", "large"])
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["rows"] == {"reference": 200, "current": 300}
    moved = {each["name"] for each in found["columns"] if each["drift"] != "none"}
    assert moved & set(FEATURES) == {FEATURES[0]}
    assert from_log == judge_lines(map(json.loads, lines), lock)
    assert ("/pilotlight/churn/predict" in seen[0]) if cloud == "aws" else ('jsonPayload.event=("drift")' in seen[0])


def test_lines_of_another_version_or_reference_do_not_count(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written_lines = map(json.loads, written(lock, "aws", capsys, rows(6, 100)))
    (record,) = (each for each in written_lines if each["event"] == "drift")
    others = [record | {"model_version": 2}, record | {"reference": "0" * 16}, {"event": "request"}]

    found = judge_lines([record, *others], lock)

    assert found.rows == (200, 100)
    assert {each.level for each in found.findings if each.name in FEATURES} == {"none"}


@pytest.mark.parametrize(
    "arguments", [["a.csv"], ["--since", "24h"], ["--env", "dev"], ["a.csv", "b.csv", "--since", "1h", "--env", "dev"]]
)
def test_the_command_asks_for_two_files_or_an_environment(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["drift", *arguments])

    assert done.exit_code == 2
    assert "expected REFERENCE and CURRENT, or --since with --env" in " ".join(done.output.split())


def test_a_version_without_a_reference_is_told_how_to_get_one(tmp_path: Path) -> None:
    lines = tmp_path / "lines.log"
    lines.write_text("{}\n")
    done = CliRunner().invoke(app, ["drift", "--lines", str(lines), "--lock", str(SAMPLE / "model.lock")])

    assert done.exit_code == 1
    assert "has no reference; publish it with --reference" in " ".join(done.output.split())


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
