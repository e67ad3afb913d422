"""Objects in S3 for a job: those that it reads, and the folder of its results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.files.buckets import Bucket, Entry
from pilotlight.files.layout import FAILURES, PARTS, failures_of, part_of, summary_of
from pilotlight.files.shards import Summary
from pilotlight.files.sources import BatchUsageError, FileChanged

# Calls at once when many small objects are read.
_CALLS = 16

_MISSING = ("NoSuchKey", "404")


@cache
def client() -> Any:  # noqa: ANN401 - boto3 has no types at run time
    """Return the client of S3, made with the first job: a snapshot of the process has no credentials."""
    config = Config(
        connect_timeout=2,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 6},
        max_pool_connections=_CALLS,
    )
    return boto3.Session().client("s3", config=config)


def split(url: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URL. Raise BatchUsageError."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise BatchUsageError(f"found {url!r}; expected s3://BUCKET/PREFIX")
    return bucket, key


def open_input(url: str) -> Bucket:
    """Return the place of the files that an s3:// URL names: an object, a prefix or a pattern."""
    bucket, key = split(url)
    return Bucket(url, f"s3://{bucket}", key, Objects(bucket))


class Objects:
    """See `pilotlight.files.buckets.Objects`. An object's state is its entity tag. It raises what boto3 does."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        for page in client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                yield Entry(found["Key"], found["Size"], found["ETag"])

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        found = client().head_object(Bucket=self._bucket, Key=key)
        return Entry(key, found["ContentLength"], found["ETag"])

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`. Raise FileChanged."""
        options = {"Range": f"bytes={start}-{stop - 1}", "IfMatch": entry.state}
        try:
            found = client().get_object(Bucket=self._bucket, Key=entry.key, **options)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                raise FileChanged(f"s3://{self._bucket}/{entry.key}") from None
            raise
        return bytes(found["Body"].read())


class Output:
    """A folder of results, as `pilotlight batch` makes it. The same shard writes the same objects again."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.bucket, key = split(self.url)
        self._prefix = f"{key}/" if key else ""

    def key(self, name: str) -> str:
        """Return the key of an object in the folder."""
        return f"{self._prefix}{name}"

    def names(self) -> set[str]:
        """Return the names of what is there."""
        return {entry.key.removeprefix(self._prefix) for entry in Objects(self.bucket).entries(self._prefix)}

    def read(self, name: str) -> Any:  # noqa: ANN401 - a document
        """Return a document of JSON, or None if there is none."""
        try:
            return json.loads(self._bytes(name))
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        client().put_object(Bucket=self.bucket, Key=self.key(name), Body=content)

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document."""
        self.write(name, (json.dumps(document, indent=2) + "\n").encode())

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        client().delete_object(Bucket=self.bucket, Key=self.key(name))

    def commit(self, summary: Summary, format_: str, result: Path, failures: Path) -> dict[str, Any]:
        """Write what came of a shard, its summary last, and return that."""
        client().upload_file(str(result), self.bucket, self.key(part_of(summary.index, format_)))
        if summary.failed:
            client().upload_file(str(failures), self.bucket, self.key(failures_of(summary.index)))
        document = {name: getattr(summary, name) for name in Summary.__slots__}
        self.write_json(summary_of(summary.index), document)
        return document

    def done(self, format_: str) -> list[Summary]:
        """Return the summaries of the shards whose results are there, in their order."""
        names = self.names()
        found = sorted(name for name in names if name.startswith(f"{PARTS}/") and name.count(".") == 1)
        with ThreadPoolExecutor(_CALLS) as pool:
            summaries = [Summary(**document) for document in pool.map(self.read, found)]
        return [summary for summary in summaries if part_of(summary.index, format_) in names]

    def join_failures(self, summaries: Sequence[Summary], file: Path) -> None:
        """Join the failures of all shards. `file` is for the time being."""
        names = [failures_of(summary.index) for summary in summaries if summary.failed]
        with file.open("wb") as out, ThreadPoolExecutor(_CALLS) as pool:
            for start in range(0, len(names), _CALLS):  # so many are in memory
                out.writelines(pool.map(self._bytes, names[start : start + _CALLS]))
        if names:
            client().upload_file(str(file), self.bucket, self.key(FAILURES))

    def _bytes(self, name: str) -> bytes:
        return bytes(client().get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read())
