"""Jobs on this machine: parts that are committed, one runner at a time, and the same bytes after any kill."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, dataset, parquet

from batch_runs import NAMES, STORE, Watched, ask, results, running, sample_rows, scored
from doubles import Records
from pilotlight.boot import Platform, boot
from pilotlight.dataplane import DataPlane
from pilotlight.errors import FormatError
from pilotlight.files.mapping import Opened, map_shard
from pilotlight.files.planning import make_plan
from pilotlight.files.shards import Job, Summary
from pilotlight.files.sources import BatchUsageError
from pilotlight.model.lock import load_lock
from pilotlight_cli.batching import BatchFailed, workers
from pilotlight_cli.batching import output as outputs
from pilotlight_cli.batching.estimate import estimate
from pilotlight_cli.batching.output import OWNER, Output, output_store
from pilotlight_cli.batching.run import prepare
from pilotlight_cli.batching.sources import open_place
from repository import LOCK, SAMPLE, copied_project
from waiting import wait_until

# How many runs are killed; PILOT_KILLS=30 is the long proof.
KILLS = int(os.environ.get("PILOT_KILLS", "2"))


def write_jsonl(path: Path, table: pa.Table) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def write_csv(path: Path, table: pa.Table) -> None:
    csv.write_csv(table, path)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Give a folder with 3,000 rows in Parquet, and 2,000 with bad ones in CSV."""
    folder = tmp_path / "rows"
    folder.mkdir()
    parquet.write_table(sample_rows(3000), folder / "a.parquet", row_group_size=500)
    lines = [b'"note",' + b",".join(f'"{name}"'.encode() for name in NAMES)]
    for number in range(2000):
        cells = [b"x" if number % 400 == 7 and index == 4 else str(number + index).encode() for index in range(30)]
        lines.append(b'"two\nlines",' + b",".join(cells))
    (folder / "b.csv").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def test_a_folder_is_scored_and_the_manifest_adds_up(rows: Path, tmp_path: Path) -> None:
    watched = Watched()
    manifest = scored(ask(rows, tmp_path / "out", format="jsonl", shard_bytes=100_000), watched)
    assert (manifest["rows"], manifest["written"], manifest["failed"]) == (5000, 4995, 5)
    assert sum(part["rows"] for part in manifest["parts"]) == 4995
    assert len(manifest["parts"]) > 5
    assert manifest["model"]["files"] == {"model.onnx": load_lock(LOCK).model.files[0].sha256}
    assert manifest["seconds"] > 0
    assert watched.rows == 5000
    assert watched.size == sum(file.stat().st_size for file in rows.iterdir())
    failures = [json.loads(line) for line in (tmp_path / "out/_failures.jsonl").read_text().splitlines()]
    assert failures[0] == {
        "file": str(rows / "b.csv"),
        "line": 2 + 2 * 7,
        "column": NAMES[4],
        "reason": 'expected a number (FP32), found "x"',
    }
    assert [failure["line"] for failure in failures] == [2 + 2 * (7 + 400 * index) for index in range(5)]
    written = dataset.dataset(tmp_path / "out", format="json").to_table()
    assert written.num_rows == 4995
    assert set(results(tmp_path / "out")) == {part["name"] for part in manifest["parts"]} | {"_failures.jsonl"}


@pytest.fixture(scope="module")
def plane() -> DataPlane:
    """Give the sample's model in this process."""
    platform = Platform(SAMPLE, {}, lambda *_: Records(), 60.0, time.monotonic())
    return boot(platform, {"PILOTLIGHT_STORE": STORE})[0].plane


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "npy"])
def test_the_parts_of_a_file_make_what_the_whole_makes(suffix: str, plane: DataPlane, tmp_path: Path) -> None:
    table, file = sample_rows(1500), tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        parquet.write_table(table, file, row_group_size=100)
    elif suffix == "npy":
        np.save(file, np.column_stack([table.column(name) for name in NAMES]))
    else:
        (write_csv if suffix == "csv" else write_jsonl)(file, table)
    place = open_place(str(file))
    job = Job("csv", () if suffix == "npy" else ("id",))
    made: list[list[bytes]] = []
    for every in (1 << 30, file.stat().st_size // 4):
        plan = make_plan(place, place.sources(), job, plane.model.signature, every)
        result = tmp_path / "result"
        lines: list[bytes] = []
        for planned in plan.shards:
            with place.open(planned.shard.file, planned.shard.state) as source:
                map_shard(plane, planned.shard, plan.job, Opened(source, result, tmp_path / "failures"))
            lines += result.read_bytes().splitlines()[1:]
        made.append(lines)
    assert len(plan.shards) > 3
    assert made[0] == made[1]
    assert len(made[0]) == 1500


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("out", "", "csv"),
        ("out.parquet", "", "parquet"),
        ("out.jsonl/", "", "jsonl"),
        ("out.csv", "parquet", "parquet"),
    ],
)
def test_the_format_is_what_is_asked_for_or_the_output_s_or_the_input_s(
    name: str, asked: str, expected: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "a.csv", sample_rows(3))
    assert prepare(ask(tmp_path / "a.csv", f"{tmp_path}/{name}", format=asked)).plan.job.format == expected


def test_a_plan_says_what_a_job_comes_to_and_writes_nothing(rows: Path, tmp_path: Path) -> None:
    found = estimate(prepare(ask(rows, tmp_path / "out", shard_bytes=100_000, workers=2)))
    assert (found.files, found.workers, found.is_exact) == (2, 2, False)
    assert found.size == sum(file.stat().st_size for file in rows.iterdir())
    assert found.shards == 6
    assert 3000 < found.rows < 15_000
    assert found.seconds > found.processor_seconds / 2 > 0
    assert 0 < found.on_cloud_run < found.on_lambda
    exact = estimate(prepare(ask(rows / "a.parquet", tmp_path / "out")))
    assert (exact.rows, exact.is_exact, exact.shards) == (3000, True, 1)
    assert not (tmp_path / "out").exists()


def test_a_finished_job_is_not_done_again(rows: Path, tmp_path: Path) -> None:
    asked = ask(rows, tmp_path / "out")
    first = scored(asked)
    before = results(tmp_path / "out")
    assert scored(asked) == first
    assert results(tmp_path / "out") == before


@pytest.mark.parametrize("change", ["input", "settings", "model"])
def test_an_output_has_the_results_of_one_job(change: str, rows: Path, tmp_path: Path) -> None:
    asked = ask(rows, tmp_path / "out")
    scored(asked)
    if change == "input":
        (rows / "a.parquet").touch()
    elif change == "settings":
        asked = replace(asked, format="csv")
    else:
        lock = copied_project(tmp_path / "project").root / "model.lock"
        lock.write_text(lock.read_text().replace('"version": 1', '"version": 2'))
        asked = replace(asked, lock=lock)
    with pytest.raises(BatchFailed, match=f"has results of a job with another {change}"):
        scored(asked)


def test_a_folder_with_other_files_is_no_output(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(BatchFailed, match=r"has other files already, like mine\.txt; name another output"):
        scored(ask(rows, tmp_path / "out"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none", "none: no such file or folder, and no file matches it as a pattern"),
        ("none/*.csv", "no such file or folder, and no file matches it"),
        ("a.txt", r"a\.txt has an unknown format; expected a name that ends in \.parquet, \.csv"),
        ("a.parquet.gz", "Parquet is compressed within itself"),
        ("empty", "empty has no file that ends in"),
        (".", "is in .*: the next run would read its own results"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused(source: str, message: str, tmp_path: Path) -> None:
    for name in ("a.txt", "a.parquet.gz"):
        (tmp_path / name).touch()
    (tmp_path / "empty/_hidden").mkdir(parents=True)
    (tmp_path / "empty/_hidden/a.csv").touch()
    with pytest.raises(BatchUsageError, match=message):
        prepare(ask(tmp_path / source, tmp_path / "out"))


def test_a_pattern_names_files(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.jsonl"):
        (tmp_path / name).touch()
    assert [Path(each.name).name for each in open_place(f"{tmp_path}/*.csv").sources()] == ["a.csv", "b.csv"]


def test_files_without_rows_make_no_parts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.csv").write_bytes(b",".join(name.encode() for name in NAMES) + b"\n")
    manifest = scored(ask(str(tmp_path / "*.*"), tmp_path / "out/x", format="csv"))
    assert (manifest["rows"], [part["rows"] for part in manifest["parts"]]) == (0, [0])


def test_kept_columns_have_the_same_type_in_all_files(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    parquet.write_table(sample_rows(3), folder / "a.parquet")
    write_csv(folder / "b.csv", sample_rows(3))
    with pytest.raises(FormatError, match=r"b\.csv: kept columns have other types or names than in .*a\.parquet"):
        prepare(ask(folder, tmp_path / "out", keep=("id",)))


def test_a_kill_at_any_point_changes_no_byte(rows: Path, tmp_path: Path) -> None:
    asked = ask(rows, tmp_path / "undisturbed", format="parquet", shard_bytes=60_000)
    began = time.monotonic()
    scored(asked)
    took = time.monotonic() - began
    expected = results(tmp_path / "undisturbed")
    chance = random.Random(7)  # noqa: S311 - moments
    for number in range(KILLS):
        again = replace(asked, output=str(tmp_path / f"killed-{number}"))
        with running(again):
            time.sleep(0.4 + chance.random() * took)
        scored(again)
        assert results(tmp_path / f"killed-{number}") == expected


def test_a_killed_run_resumes_at_its_committed_parts(rows: Path, tmp_path: Path) -> None:
    asked = ask(rows, tmp_path / "out", shard_bytes=20_000)
    with running(asked):
        wait_until(lambda: len(list((tmp_path / "out/_parts").glob("*.json"))) >= 2, 60)
    committed = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    kept = [path.stem for path in (tmp_path / "out/_parts").glob("?????.json")]
    scored(asked)
    assert all(committed[path] == path.stat().st_mtime_ns for path in committed if path.stem.split("-")[1] in kept)


def test_two_runners_do_not_share_an_output(rows: Path, tmp_path: Path) -> None:
    asked = ask(rows, tmp_path / "out", shard_bytes=20_000)
    with running(asked) as first:
        wait_until((tmp_path / "out" / OWNER).exists, 60)
        os.kill(first.pid, signal.SIGSTOP)
        with pytest.raises(BatchFailed, match=rf"is being written by process {first.pid} on .* since .*; wait until"):
            scored(asked)
    assert scored(asked)["rows"] == 5000


def test_an_owner_elsewhere_counts_as_dead_after_a_quarter_of_an_hour(tmp_path: Path) -> None:
    store = output_store(str(tmp_path / "out"))
    owner = {"host": "elsewhere", "pid": 1, "started": "then", "token": "x"}
    store.replace(OWNER, json.dumps(owner).encode())
    mine = Output(store, "csv")
    with pytest.raises(BatchFailed, match="process 1 on elsewhere since then"):
        mine.claim({"a": 1})
    past = time.time() - outputs.SILENCE.total_seconds() - 60
    os.utime(tmp_path / "out" / OWNER, (past, past))
    mine.claim({"a": 1})
    mine.live()
    store.replace(OWNER, json.dumps(owner).encode())
    with pytest.raises(BatchFailed, match="was taken over by process 1 on elsewhere; this run stops"):
        mine.commit(Summary(0, 0, 0, 0, 0.0), tmp_path, tmp_path)
    mine.release()
    assert store.read(OWNER)


def test_a_file_that_turns_out_bad_ends_the_run_and_keeps_what_is_committed(rows: Path, tmp_path: Path) -> None:
    content = (rows / "a.parquet").read_bytes()
    damaged = bytearray(content)
    damaged[len(content) * 3 // 4 : len(content) * 3 // 4 + 2000] = bytes(2000)
    (rows / "a.parquet").write_bytes(damaged)
    asked = ask(rows, tmp_path / "out", shard_bytes=20_000, workers=1)
    with pytest.raises(BatchFailed, match=r"a\.parquet: cannot be read as parquet"):
        scored(asked)
    assert list((tmp_path / "out/_parts").iterdir())
    assert not (tmp_path / "out" / OWNER).exists()


def test_a_worker_that_dies_is_named(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    kill = "import os, sys\nif 'pilotlight_cli.batching.worker' in sys.orig_argv: os.kill(os.getpid(), 9)\n"
    (tmp_path / "sitecustomize.py").write_text(kill)
    start, named = workers._start, r"the start: the process was killed by signal 9; did it run out of memory\?"
    with pytest.raises(BatchFailed, match=named):
        scored(ask(rows, tmp_path / "out"))

    def dead(setup: workers.Setup) -> subprocess.Popen[str]:
        process = start(setup)
        process.wait()
        return process

    monkeypatch.setattr(workers, "_start", dead)
    with pytest.raises(BatchFailed, match=named):
        scored(ask(rows, tmp_path / "out"))


def parts_of(path: Path, every: int) -> Sequence[tuple[int, int, int]]:
    place = open_place(str(path))
    plan = make_plan(place, place.sources(), Job("csv"), load_lock(LOCK).model.signature, every)
    return [(planned.shard.start, planned.shard.stop, planned.shard.line) for planned in plan.shards]


def test_a_plan_covers_every_byte_and_row_once(tmp_path: Path) -> None:
    table = sample_rows(1000)
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    write_csv(tmp_path / "a.csv", table)
    assert parts_of(tmp_path / "a.parquet", 1) == [(group, group + 1, group * 100 + 1) for group in range(10)]
    assert len(parts_of(tmp_path / "a.parquet", 1 << 30)) == 1
    parts = parts_of(tmp_path / "a.csv", 50_000)
    assert [stop for _, stop, _ in parts] == [*(start for start, *_ in parts[1:]), -1]
    content = (tmp_path / "a.csv").read_bytes()
    assert all(
        content[:start].count(b"\n") == line - 1 and (not start or content[start - 1 : start] == b"\n")
        for start, _, line in parts
    )
    assert re.fullmatch(r"\d+", content[parts[1][0] :].split(b",")[0].decode())
