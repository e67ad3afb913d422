"""Objects in S3 for a job: those that it reads, and the folder of its results."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.files.buckets import Bucket, Entry
from pilotlight.files.folder import CALLS
from pilotlight.files.sources import BatchUsageError, FileChanged

_MISSING = ("NoSuchKey", "404")


@cache
def client() -> Any:  # noqa: ANN401 - boto3 has no types at run time
    """Return the client of S3, made with the first job: a snapshot of the process has no credentials."""
    config = Config(
        connect_timeout=2,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 6},
        max_pool_connections=CALLS,
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


class S3Folder:
    """See `pilotlight.files.folder.Folder`."""

    def __init__(self, url: str) -> None:
        """Raise BatchUsageError."""
        self.url = url.rstrip("/")
        self.bucket, key = split(self.url)
        self._prefix = f"{key}/" if key else ""

    def key(self, name: str) -> str:
        """Return the key of an object in the folder."""
        return f"{self._prefix}{name}"

    def names(self) -> set[str]:
        """See `Folder.names`."""
        return {entry.key.removeprefix(self._prefix) for entry in Objects(self.bucket).entries(self._prefix)}

    def read(self, name: str) -> bytes:
        """See `Folder.read`."""
        try:
            return bytes(client().get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise FileNotFoundError(f"{self.url}/{name}") from None
            raise

    def write(self, name: str, content: bytes) -> None:
        """See `Folder.write`."""
        client().put_object(Bucket=self.bucket, Key=self.key(name), Body=content)

    def upload(self, name: str, file: Path) -> None:
        """See `Folder.upload`."""
        client().upload_file(str(file), self.bucket, self.key(name))

    def delete(self, name: str) -> None:
        """See `Folder.delete`."""
        client().delete_object(Bucket=self.bucket, Key=self.key(name))
