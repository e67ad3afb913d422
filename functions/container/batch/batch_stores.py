"""The files of a job in Cloud Storage or S3, and the folder of its results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage

from pilotlight.files.buckets import Bucket, Entry
from pilotlight.files.folder import Folder
from pilotlight.files.sources import BatchUsageError, FileChanged


def open_input(url: str) -> Bucket:
    """Return the place of the files that a URL names: an object, a prefix or a pattern. Raise BatchUsageError."""
    if url.startswith("s3://"):
        import batch_objects  # noqa: PLC0415 - one of two clients is used

        return batch_objects.open_input(url)
    bucket, path = _split(url)
    return Bucket(url, f"gs://{bucket}", path, Objects(bucket))


def open_output(url: str) -> Folder:
    """Return the folder of results at a URL. Raise BatchUsageError."""
    if url.startswith("s3://"):
        import batch_objects  # noqa: PLC0415

        return batch_objects.S3Folder(url)
    return GcsFolder(url)


def _split(url: str) -> tuple[str, str]:
    bucket, _, path = url.removeprefix("gs://").partition("/")
    if not url.startswith("gs://") or not bucket:
        raise BatchUsageError(f"found {url!r}; expected gs://BUCKET/PREFIX or s3://BUCKET/PREFIX")
    return bucket, path


@cache
def client() -> storage.Client:
    """Return the client of Cloud Storage, with Google's default credentials, or none for STORAGE_EMULATOR_HOST."""
    # Otherwise a thread of the client reads the bucket's metadata, which requires storage.buckets.get.
    os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    # Objects belong to a bucket; no request here needs a project.
    return storage.Client.create_anonymous_client() if emulated else storage.Client(project=None)


class Objects:
    """See `pilotlight.files.buckets.Objects`. An object's state is its generation. It raises what the client does."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `Objects.entries`."""
        for blob in client().list_blobs(self._bucket, prefix=prefix):
            yield Entry(blob.name, blob.size, str(blob.generation))

    def entry(self, key: str) -> Entry:
        """See `Objects.entry`."""
        blob = client().bucket(self._bucket).blob(key)
        blob.reload()
        return Entry(key, blob.size, str(blob.generation))

    def read(self, entry: Entry, start: int, stop: int) -> bytes:
        """See `Objects.read`. Raise FileChanged."""
        blob = client().bucket(self._bucket).blob(entry.key, generation=int(entry.state))
        try:
            content: bytes = blob.download_as_bytes(start=start, end=stop - 1, checksum=None)
        except (NotFound, PreconditionFailed):
            raise FileChanged(f"gs://{self._bucket}/{entry.key}") from None
        return content


class GcsFolder:
    """See `pilotlight.files.folder.Folder`. What a task writes is always the same, so any write may be repeated."""

    def __init__(self, url: str) -> None:
        """Raise BatchUsageError."""
        self.url = url.rstrip("/")
        self._bucket, path = _split(self.url)
        self._prefix = f"{path}/" if path else ""

    def names(self) -> set[str]:
        """See `Folder.names`."""
        return {entry.key.removeprefix(self._prefix) for entry in Objects(self._bucket).entries(self._prefix)}

    def read(self, name: str) -> bytes:
        """See `Folder.read`."""
        try:
            content: bytes = self._blob(name).download_as_bytes(checksum="crc32c")
        except NotFound:
            raise FileNotFoundError(f"{self.url}/{name}") from None
        return content

    def write(self, name: str, content: bytes) -> None:
        """See `Folder.write`."""
        self._blob(name).upload_from_string(content, checksum="crc32c")

    def upload(self, name: str, file: Path) -> None:
        """See `Folder.upload`."""
        self._blob(name).upload_from_filename(str(file), checksum="crc32c")

    def delete(self, name: str) -> None:
        """See `Folder.delete`."""
        with suppress(NotFound):
            self._blob(name).delete()

    def _blob(self, name: str) -> storage.Blob:
        return client().bucket(self._bucket).blob(f"{self._prefix}{name}")
