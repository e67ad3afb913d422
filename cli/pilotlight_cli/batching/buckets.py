"""The files of a job in buckets, through the command's own clients: their credentials, endpoints and owners count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pilotlight.files.buckets import Bucket, Entry, Objects
from pilotlight_cli.stores import open_store, split_url

if TYPE_CHECKING:
    from pilotlight_cli.stores.gcs import GcsStore
    from pilotlight_cli.stores.s3 import S3Store


def open_bucket(url: str) -> Bucket:
    """Return the place at s3://bucket/... or gs://bucket/.... Raise StoreUrlError."""
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    root = f"{scheme}://{bucket}"
    split_url(root)
    store = open_store(root)
    objects: Objects = S3Objects(store) if scheme == "s3" else GcsObjects(store)  # type: ignore[arg-type]
    return Bucket(url, root, path, objects)


class S3Objects:
    """See `Objects`. An object's state is its entity tag."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        pages = self._store.client.get_paginator("list_objects_v2").paginate(Bucket=self._store.bucket, Prefix=prefix)
        with self._store.translated(f"{self._store.url}/{prefix}", "s3:ListBucket"):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"], found["Size"], found["ETag"])

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        with self._store.translated(f"{self._store.url}/{key}", "s3:GetObject"):
            found = self._store.client.head_object(Bucket=self._store.bucket, Key=key)
        return Entry(key, found["ContentLength"], found["ETag"])

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`."""
        with self._store.translated(f"{self._store.url}/{entry.key}", "s3:GetObject"):
            found = self._store.client.get_object(
                Bucket=self._store.bucket, Key=entry.key, Range=f"bytes={start}-{stop - 1}", IfMatch=entry.state
            )
            return found["Body"].read()


class GcsObjects:
    """See `Objects`. An object's state is its generation."""

    def __init__(self, store: GcsStore) -> None:
        self._store = store

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        with self._store.translated(f"{self._store.url}/{prefix}", "storage.objects.list"):
            for blob in self._store.client.list_blobs(self._store.bucket, prefix=prefix):
                yield Entry(blob.name, blob.size, str(blob.generation))

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        blob = self._store.client.bucket(self._store.bucket).blob(key)
        with self._store.translated(f"{self._store.url}/{key}", "storage.objects.get"):
            blob.reload()
        return Entry(key, blob.size, str(blob.generation))

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`."""
        blob = self._store.client.bucket(self._store.bucket).blob(entry.key, generation=int(entry.state))
        with self._store.translated(f"{self._store.url}/{entry.key}", "storage.objects.get"):
            content: bytes = blob.download_as_bytes(start=start, end=stop - 1, checksum=None)
        return content
