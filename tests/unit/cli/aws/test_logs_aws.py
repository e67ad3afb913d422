"""`pilotlight logs aws`, with moto's CloudWatch Logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.s3_server import S3Server
from local_lock import write_next
from pilotlight_cli.main import app
from repository import copied_project

START = {"event": "cold_start", "state": "ready", "phases_ms": {"total": 118.9}, "model_name": "a", "model_version": 2}
FAILED = {**START, "state": "failed", "error": "no such key"}


def request(name: str, status: int = 200, **more: object) -> dict[str, object]:
    model = {"model_name": "a", "model_version": 2}
    where = {"event": "request", "request_id": name, "method": "POST", "route": "/predict", "status": status}
    return {**where, "latency_ms": 1.25, "rows": 3, **model, **more}


class Group:
    """A log group, which records are written to."""

    def __init__(self, logs: Any, stack: str, function: str = "predict") -> None:
        self.logs, self.name = logs, f"/pilotlight/{stack}/{function}"
        logs.create_log_group(logGroupName=self.name)
        for stream in ("one", "two"):
            logs.create_log_stream(logGroupName=self.name, logStreamName=stream)

    def write(self, stream: str, *records: object, age: float = 0) -> None:
        now = int((time.time() - age) * 1000)
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        events = [{"timestamp": now + number, "message": line} for number, line in enumerate(lines)]
        self.logs.put_log_events(logGroupName=self.name, logStreamName=stream, logEvents=events)


@pytest.fixture
def group(
    aws: Callable[[str], Any], s3_server: S3Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Group:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", s3_server.url)
    root = copied_project(tmp_path / "project").root
    (root / "samconfig.toml").write_text(f'[dev.global.parameters]\nstack_name = "{name}"\n')
    monkeypatch.chdir(root)
    return Group(aws("logs"), name)


def logs(*arguments: str, code: int = 0) -> list[str]:
    result = CliRunner().invoke(app, ["logs", "aws", "--env", "dev", *arguments])
    assert result.exit_code == code, result.output
    return [" ".join(line.split()[2:]) for line in result.stdout.splitlines()[1:]]


def test_requests_are_one_table_and_a_start_marks_the_next_request_of_its_instance(group: Group) -> None:
    group.write("one", "START RequestId: 1", START, request("first"), request("second"), age=30)
    group.write("two", request("third", 503, code="not_ready"), FAILED, age=20)
    assert logs() == [
        "200 1.2 ms POST /predict 3 a:2 cold 119 ms first",
        "200 1.2 ms POST /predict 3 a:2 second",
        "503 1.2 ms POST /predict 3 a:2 third not_ready",
        "failed 118.9 ms a:2 cold no such key".replace("118.9", "119"),
    ]
    assert logs("--search", "NOT_READY") == ["503 1.2 ms POST /predict 3 a:2 third not_ready"]


def test_events_of_records_are_lines_of_their_function(group: Group) -> None:
    model = {"model_name": "a", "model_version": 2, "latency_ms": 3.25, "request_id": "id"}
    event = {"event": "records", "source": "rows", "records": 10, "failed": 0, "rejected": 0, "rows": 10, **model}
    failures = [{"id": "1", "code": "invalid_request"}]
    records = Group(group.logs, group.name.split("/")[2], "records")
    records.write("one", START, event, event | {"failed": 1, "rejected": 2, "rows": 7, "failures": failures})
    assert logs("--function", "records") == [
        "10/10 3.2 ms rows 10 a:2 cold 119 ms id",
        "7/10 3.2 ms rows 7 a:2 id invalid_request",
    ]
    assert logs() == []


def test_since_leaves_out_what_is_older(group: Group) -> None:
    group.write("one", request("old"), age=3600)
    group.write("one", request("new"), age=60)
    assert [line.split()[-1] for line in logs()] == ["new"]
    assert [line.split()[-1] for line in logs("--since", "2h")] == ["old", "new"]
    assert logs("--since", "yesterday", code=2) == []


def test_follow_prints_what_comes_once_and_ends_with_ctrl_c(group: Group) -> None:
    group.write("one", request("before"))
    command = [sys.executable, "-m", "pilotlight_cli.main", "logs", "aws", "--env", "dev", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("time (UTC)")
        assert process.stdout.readline().endswith("before\n")
        group.write("one", request("after"))
        assert process.stdout.readline().endswith("after\n")
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_a_log_group_that_is_not_there_is_named(group: Group) -> None:
    Path("samconfig.toml").write_text('[dev.global.parameters]\nstack_name = "nowhere"\n')
    result = CliRunner().invoke(app, ["logs", "aws", "--env", "dev"])
    assert (result.exit_code, "the log group /pilotlight/nowhere/predict: " in result.stderr) == (1, True)


def test_the_status_of_an_experiment_reads_its_own_requests_since_its_start(group: Group) -> None:
    start = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    write_next(Path("model.lock"), "mine", ((0, 5000),), start=start)
    own: dict[str, Any] = {"experiment": "mine", "variant": "control", "assigned": "control", "bucket": 7000}
    group.write("one", request("early", **own), age=3 * 3600)
    group.write("two", request("own", **own), request("other", **own | {"experiment": "mine-not"}), request("none"))

    def requests(*arguments: str) -> int:
        command = ["experiment", "status", "--env", "dev", "--json", *arguments]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)
        assert document["verdicts"][0]["outcome"] == "hold"
        found: int = document["variants"][0]["requests"]
        return found

    assert (requests(), requests("--since", "5h")) == (1, 2)
