"""Files in buckets: what is listed, how few requests read it, and results that go there."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path

import pytest
from pyarrow import csv, parquet

from batch_runs import ask, results, sample_rows, scored
from fakes.s3_server import S3Server
from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.files import buckets
from pilotlight.files.buckets import Ranges
from pilotlight.files.sources import BatchUsageError, FileChanged
from pilotlight_cli.batching import BatchFailed
from pilotlight_cli.batching.run import prepare
from pilotlight_cli.batching.sources import open_place
from pilotlight_cli.stores import Store, open_store


def parquet_file(rows: int) -> bytes:
    out = io.BytesIO()
    parquet.write_table(sample_rows(rows), out, row_group_size=200)
    return out.getvalue()


@pytest.fixture(params=["s3", "gcs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """Give the URL of a bucket with files of rows: 1,000 in Parquet, and 300 in CSV in gzip."""
    store: Store = request.getfixturevalue(f"{request.param}_store")
    root = "/".join(store.url.split("/")[:3])
    table = io.BytesIO()
    csv.write_csv(sample_rows(300, 1), table)
    whole = open_store(root)
    whole.replace("in/a b.parquet", parquet_file(1000))
    whole.replace("in/deep/b.csv.gz", gzip.compress(table.getvalue()))
    whole.replace("in/_hidden/c.csv", b"")
    whole.replace("other/d.txt", b"")
    return root


def test_a_bucket_is_scored_as_a_folder_is(bucket: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for key in ("a b.parquet", "deep/b.csv.gz"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(open_store(bucket).read(f"in/{key}"))
    options = {"format": "csv", "shard_bytes": 50_000}
    expected = scored(ask(folder, tmp_path / "out", **options))
    manifest = scored(ask(f"{bucket}/in", f"{bucket}/out/scored", **options))
    assert (manifest["rows"], manifest["parts"]) == (1300, manifest["parts"])
    store = open_store(f"{bucket}/out/scored")
    found = {key: store.read(key) for key in store.keys("")}
    assert json.loads(found.pop("_manifest.json")) == manifest
    assert found == results(tmp_path / "out")
    assert len(manifest["parts"]) == len(expected["parts"]) > 2
    assert scored(ask(f"{bucket}/in", f"{bucket}/out/scored", **options)) == manifest
    with pytest.raises(BatchFailed, match="has results of a job with another settings"):
        scored(ask(f"{bucket}/in", f"{bucket}/out/scored", **options | {"format": "jsonl"}))


def test_an_object_a_prefix_or_a_pattern_names_files(bucket: str) -> None:
    def names(text: str) -> list[str]:
        return [source.name.removeprefix(f"{bucket}/") for source in open_place(f"{bucket}{text}").sources()]

    both = ["in/a b.parquet", "in/deep/b.csv.gz"]
    assert names("") == names("/in") == names("/in/") == both
    assert names("/in/a b.parquet") == names("/in/*.parquet") == both[:1]
    assert names("/*/b.csv.*") == both[1:]
    for text, message in (
        ("/none", "none/ has no file that ends in"),
        ("/in/*.none", "no such object, and none matches"),
        ("/other/*", "other/d.txt has an unknown format"),
    ):
        with pytest.raises(BatchUsageError, match=message):
            names(text)
    with pytest.raises(BatchUsageError, match="the next run would read its own results"):
        prepare(ask(f"{bucket}/in", f"{bucket}/in/out"))


def test_an_object_that_was_written_again_is_not_read(bucket: str) -> None:
    place = open_place(f"{bucket}/in")
    (source, _) = place.sources()
    with place.open(source.name, source.state) as file:
        assert file.read(4) == b"PAR1"
        file.seek(0)
    open_store(bucket).replace("in/a b.parquet", b"another")
    with pytest.raises(FileChanged, match="has changed since the job began"):
        place.open(source.name, source.state)


def test_an_object_that_changes_while_it_is_read_fails_the_read(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_WINDOW", 100)
    place = open_place(f"{bucket}/in")
    (source, _) = place.sources()
    with place.open(source.name, source.state) as file:
        assert file.read(4) == b"PAR1"
        open_store(bucket).replace("in/a b.parquet", parquet_file(1001))
        file.seek(100_000)
        with pytest.raises(StoreError):
            file.read(4)


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_the_columns_of_a_shard_take_few_requests(bucket: str, s3_server: S3Server, tmp_path: Path) -> None:
    before = len(s3_server.requests)
    scored(ask(f"{bucket}/in/a b.parquet", tmp_path / "out", workers=1))
    gets = [line for line in s3_server.requests[before:] if re.match(r"GET /stores-\d+/in/a", line)]
    assert 0 < len(gets) <= 4


def test_a_range_is_tried_again_while_the_store_is_unavailable() -> None:
    content = bytes(range(100))
    faults = [StoreUnavailable("busy"), StoreUnavailable("busy")]
    slept: list[float] = []

    def fetch(start: int, stop: int) -> bytes:
        if faults:
            raise faults.pop()
        return content[start:stop]

    file = io.BufferedReader(Ranges(100, fetch, sleep=slept.append), 16)
    file.seek(-10, io.SEEK_END)
    assert file.read() == content[90:]
    assert len(slept) == 2
    assert file.seek(5) == file.tell() == 5
    assert file.read(3) == content[5:8]
    faults += [StoreUnavailable("busy")] * 3
    again = Ranges(100, fetch, sleep=slept.append)
    with pytest.raises(StoreUnavailable):
        again.read(1)
