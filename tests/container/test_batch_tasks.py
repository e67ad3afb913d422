"""Tasks of a batch job as Cloud Run starts them, each a process of the staged function, on a stand-in of a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_runs import ask, bucket_files, results, scored
from batch_settings import read_task
from harness import Pinned, prepared
from pilotlight.errors import SettingsError
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.stores import EmbeddedStore
from pilotlight_cli.stores import open_store
from servers.fake_gcs import FakeGcs

OPTIONS: dict[str, Any] = {"keep": ("id",), "format": "jsonl", "shard_bytes": 2000}
ARGUMENTS = ("--keep", "id", "--format", "jsonl", "--shard-bytes", "2000")


@pytest.fixture(scope="module")
def batch(model: Pinned) -> Iterator[Function]:
    with prepared("container", model, EmbeddedStore(model.store.url, {}), {}, "batch") as function:
        yield function


@pytest.fixture(params=["gcs", "s3"])
def root(request: pytest.FixtureRequest) -> str:
    """Give the URL of a bucket, which the environment reaches."""
    store = request.getfixturevalue(f"{request.param}_store")
    return "/".join(store.url.split("/")[:3])


class Tasks:
    """The tasks of a job."""

    def __init__(self, function: Function, *arguments: str) -> None:
        self._folder = function.folder
        self._environ = passed_on(os.environ) | function.environment
        self._command = [*isolated_python(), "-m", "batch_main", *arguments]

    def start(self, index: int, count: int, attempt: int = 0) -> subprocess.Popen[str]:
        own = {"CLOUD_RUN_TASK_INDEX": index, "CLOUD_RUN_TASK_COUNT": count, "CLOUD_RUN_TASK_ATTEMPT": attempt}
        environ = self._environ | {name: str(value) for name, value in own.items()}
        return subprocess.Popen(
            self._command, cwd=self._folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, count: int, *indices: int) -> list[tuple[int, str]]:
        """Run tasks at the same time; their exit codes and logs."""
        started = [self.start(index, count) for index in indices or range(count)]
        return [ended(process) for process in started]


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and the log of a task, at its end."""
    log, _ = process.communicate(timeout=120)
    return process.returncode, log


def put(root: str, folder: str, good: int, corrupt: int = 0) -> str:
    for name, content in bucket_files(good, corrupt).items():
        open_store(root).replace(f"{folder}/{name}", content)
    return f"{root}/{folder}"


def timeless(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest | {"seconds": 0, "parts": [part | {"seconds": 0} for part in manifest["parts"]]}


def check_same(output: str, source: str, folder: Path) -> None:
    """Compare a folder with what the command makes of the same objects: every file is there, and has the same bytes."""
    manifest = scored(ask(source, folder, **OPTIONS))
    store = open_store(output)
    found = {name: store.read(name) for name in store.keys("")}
    assert timeless(json.loads(found.pop("_manifest.json"))) == timeless(manifest)
    assert found == results(folder)
    assert len(manifest["parts"]) > 6


def test_tasks_make_the_folder_that_the_command_makes(batch: Function, root: str, tmp_path: Path) -> None:
    source, output = put(root, "in", 5), f"{root}/out/scored"
    tasks = Tasks(batch, source, output, *ARGUMENTS)
    assert [code for code, _ in tasks.run(3)] == [0, 0, 0]
    check_same(output, source, tmp_path / "out")


def test_a_task_that_is_killed_and_tried_again_does_nothing_twice(
    batch: Function, fake_gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, output = put("gs://models", "in", 4), "gs://models/out"
    tasks = Tasks(batch, source, output, *ARGUMENTS)
    written: list[str] = []
    store = fake_gcs.buckets.write

    def write(bucket: str, resource: dict[str, Any], *rest: Any) -> Any:
        written.append(resource["name"].removeprefix("out/"))
        found = store(bucket, resource, *rest)
        if written.count("part-00004.jsonl") == 1 and written[-1] == "part-00004.jsonl":
            first.kill()  # its third shard is there, and no summary of it
            first.wait()
        return found

    monkeypatch.setattr(fake_gcs.buckets, "write", write)
    first = tasks.start(0, 2)
    assert ended(first)[0] == -signal.SIGKILL
    assert tasks.run(2, 1)[0][0] == 0
    assert "_manifest.json" not in written
    assert ended(tasks.start(0, 2, attempt=1))[0] == 0
    check_same(output, source, tmp_path / "out")
    twice = {name for name in written if written.count(name) > 1}
    assert twice == {"part-00004.jsonl"}

    del written[:]
    assert [code for code, _ in tasks.run(2)] == [0, 0]  # a job that is done
    assert written == []


def test_what_is_wrong_ends_a_task_with_its_reason_in_the_log(batch: Function, fake_gcs: FakeGcs) -> None:
    source, output = put("gs://models", "in", 2, corrupt=1), "gs://models/out"
    ((code, log),) = Tasks(batch, source, output).run(1)
    assert code == 1
    assert "cut-0.jsonl.gz: FormatError" in log
    assert "1 shard(s) could not be scored" in log
    found = set(open_store(output).keys(""))
    assert {name for name in found if name.startswith("part-")} == {"part-00000.csv", "part-00001.csv"}
    assert "_manifest.json" not in found
    for arguments, message in (
        ((source, output, "--format", "jsonl"), "has results of another job"),
        ((source, "gs://models/in/out"), "the next run would read its own results"),
        ((source, "gs://models"), "has other files already, like in/000.csv"),
        (("gs://models/none", output), "none/ has no file that ends in"),
        (("in", output), "found 'in'; expected gs://BUCKET/PREFIX or s3://BUCKET/PREFIX"),
    ):
        ((code, log),) = Tasks(batch, *arguments).run(1)
        assert (code, message in log) == (1, True), log


@pytest.mark.parametrize(("index", "count"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", "0")])
def test_a_task_has_a_number_below_the_count(index: str, count: str) -> None:
    assert read_task({}) == (0, 1)
    with pytest.raises(SettingsError, match=f"CLOUD_RUN_TASK_INDEX '{index}' of CLOUD_RUN_TASK_COUNT '{count}'"):
        read_task({"CLOUD_RUN_TASK_INDEX": index, "CLOUD_RUN_TASK_COUNT": count})
