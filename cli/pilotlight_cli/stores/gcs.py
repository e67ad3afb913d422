"""A model store in Cloud Storage, `gs://bucket/prefix`, through Google's client."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, NotFound, PreconditionFailed, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import ChunkedEncodingError, RequestException
from urllib3.exceptions import HTTPError

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.stores import AlreadyExists, Progress, StoreUrlError, below, check_key, check_size, split_url
from pilotlight_cli.stores.arrivals import arriving

_TIMEOUT = (5, 60)  # seconds to connect, and between two reads
_RETRY_SECONDS = 8  # the client's default of 120 is long for an endpoint that does not answer
_DOWNLOAD_RETRY_SECONDS = 300  # counted from its start; received bytes are kept

_CHUNK = 8 << 20

# Metadata by which a publisher recognises its own object.
_WRITER = "pilotlight-writer"

_CONNECTION_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    ChunkedEncodingError,
    ConnectionError,
    TransportError,
    HTTPError,
)

_SIGN_IN = "sign in with 'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class GcsStore:
    """See `pilotlight_cli.stores.Store`. The client sends files above 8 MiB as resumable uploads, in chunks."""

    url: str
    client: storage.Client
    bucket: str
    prefix: str

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        with self.translated(f"{self.url}/{key}", "storage.objects.get"):
            content = BytesIO()
            self._blob(key).download_to_file(
                _CountingWriter(content, lambda _: check_size(f"{self.url}/{key}", content.tell())),
                checksum="crc32c",
                timeout=_TIMEOUT,
                retry=_RETRY,
            )
            return content.getvalue()

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.download`."""
        with self.translated(f"{self.url}/{key}", "storage.objects.get"), arriving(file) as out:
            blob = self._blob(key)
            # Gets the generation, so that a resumed download continues with the same object.
            blob.reload(timeout=_TIMEOUT, retry=_RETRY)
            blob.download_to_file(
                _CountingWriter(out, progress),
                checksum="crc32c",
                timeout=_TIMEOUT,
                retry=_RETRY.with_timeout(_DOWNLOAD_RETRY_SECONDS),
            )

    def create(self, key: str, content: bytes) -> None:
        """See `Store.create`."""
        self._create(key, BytesIO(content), len(content))

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.create_from`."""
        size = file.stat().st_size
        with file.open("rb") as source:
            sent = _CountingReader(source, progress)
            self._create(key, sent, size)
            sent.report()

    def replace(self, key: str, content: bytes) -> None:
        """See `Store.replace`."""
        with self.translated(f"{self.url}/{key}", "storage.objects.create and storage.objects.delete"):
            self._blob(key).upload_from_string(content, checksum="crc32c", timeout=_TIMEOUT, retry=_RETRY)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        with self.translated(self.url, "storage.objects.list"):
            for blob in self.client.list_blobs(
                self.bucket,
                prefix=f"{self.prefix}{below(prefix)}",
                fields="items(name),nextPageToken",
                timeout=_TIMEOUT,
                retry=_RETRY,
            ):
                if not blob.name.endswith("/"):  # consoles create empty objects as folders
                    yield blob.name.removeprefix(self.prefix)

    def modified(self, key: str) -> datetime:
        """See `Store.modified`."""
        blob = self._blob(key)
        with self.translated(f"{self.url}/{key}", "storage.objects.get"):
            blob.reload(timeout=_TIMEOUT, retry=_RETRY)
        written: datetime = blob.updated
        return written

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self.translated(f"{self.url}/{key}", "storage.objects.delete"), suppress(NotFound):
            self._blob(key).delete(timeout=_TIMEOUT, retry=_RETRY)

    def _blob(self, key: str, chunk_size: int | None = None) -> storage.Blob:
        name = f"{self.prefix}{check_key(self.url, key)}"
        return self.client.bucket(self.bucket).blob(name, chunk_size=chunk_size)

    def _create(self, key: str, source: BytesIO | _CountingReader, size: int) -> None:
        blob = self._blob(key, _CHUNK)
        blob.metadata = {_WRITER: secrets.token_hex(16)}
        with self.translated(f"{self.url}/{key}", "storage.objects.create"):
            try:
                blob.upload_from_file(
                    source, size=size, if_generation_match=0, checksum="crc32c", timeout=_TIMEOUT, retry=_RETRY
                )
            except PreconditionFailed as error:
                # Unless an earlier attempt succeeded and its response was lost.
                if not self._wrote(key, blob.metadata[_WRITER]):
                    raise AlreadyExists(f"{self.url}/{key} exists already") from error

    def _wrote(self, key: str, writer: str) -> bool:
        blob = self._blob(key)
        try:
            blob.reload(timeout=_TIMEOUT, retry=_RETRY)
        except GoogleAPICallError:
            return False
        return (blob.metadata or {}).get(_WRITER) == writer

    @contextmanager
    def translated(self, where: str, permission: str) -> Iterator[None]:
        """Map the client's errors to StoreError, in this one place."""
        try:
            yield
        except DataCorruption as error:
            raise StoreUnavailable(f"{where}: CRC32C mismatch in transit; try again") from error
        except (GoogleAPIError, InvalidResponse, RequestException, *_CONNECTION_ERRORS) as error:
            raise self._store_error(where, permission, error) from error
        except GoogleAuthError as error:
            raise StoreError(f"{where}: Google credentials were not accepted ({error}); {_SIGN_IN}") from error

    def _store_error(self, where: str, permission: str, error: Exception) -> StoreError:
        cause = error.cause if isinstance(error, RetryError) and error.cause else error
        status, message = _status(cause)
        if status == 404 and "bucket does not exist" in message:
            return ObjectRefused(f"{where}: bucket {self.bucket!r} not found (404); create it, or correct the URL")
        if status in (403, 404):
            return ObjectRefused(
                f"{where} was refused ({status}). Either it or the bucket {self.bucket!r} does not exist, or these "
                f"credentials lack {permission} (without storage.objects.list a missing object is a 403 too)"
            )
        if status == 401:
            return StoreError(f"{where}: Google credentials were not accepted (401); {_SIGN_IN}")
        if _is_transient(cause):
            problem = f"no response from {self.client.api_endpoint} ({cause})"
            if status:
                problem = f"{self.client.api_endpoint} returned {status}; try again later"
            return StoreUnavailable(f"{where}: {problem}")
        return StoreError(f"{where}: {message}")


def open_gcs(url: str) -> GcsStore:
    """Open the store at `gs://bucket/prefix`, with Google's default credentials, or none for STORAGE_EMULATOR_HOST."""
    bucket, prefix = split_url(url)
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator and "://" not in emulator:
        raise StoreUrlError(f"STORAGE_EMULATOR_HOST is {emulator!r}; expected a URL like http://127.0.0.1:9023")
    # Otherwise a thread of the client reads the bucket's metadata, which requires storage.buckets.get.
    os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
    try:
        # Objects belong to a bucket; no request here needs a project.
        client = storage.Client.create_anonymous_client() if emulator else storage.Client(project=None)
    except DefaultCredentialsError as error:
        raise StoreError(f"{url}: no Google credentials found; {_SIGN_IN}") from error
    return GcsStore(url.rstrip("/"), client, bucket, prefix)


def _status(error: Exception) -> tuple[int | None, str]:
    """Return the HTTP status of a response (None without one) and its message."""
    if isinstance(error, GoogleAPICallError):
        return error.code, error.message
    if isinstance(error, InvalidResponse):
        return error.response.status_code, error.response.text
    return None, str(error)


def _is_transient(error: Exception) -> bool:
    """Return whether a retry can help. The client's own rule leaves the response unread and its connection open."""
    status, _ = _status(error)
    return isinstance(error, _CONNECTION_ERRORS) if status is None else status >= 500 or status in (408, 429)


_RETRY = DEFAULT_RETRY.with_predicate(_is_transient).with_timeout(_RETRY_SECONDS)


class _CountingWriter:
    """Writes to a file and reports the bytes written."""

    def __init__(self, out: BinaryIO, progress: Progress) -> None:
        self._out = out
        self._progress = progress

    def write(self, content: bytes) -> int:
        count = self._out.write(content)
        self._progress(count)
        return count


class _CountingReader:
    """Reads a file for the client, which sends each chunk before it reads the next."""

    def __init__(self, source: BinaryIO, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._reported = 0

    def read(self, size: int) -> bytes:
        self.report()
        return self._source.read(size)

    def tell(self) -> int:
        return self._source.tell()

    def report(self) -> None:
        """Report all bytes read so far as sent."""
        self._progress(self._source.tell() - self._reported)
        self._reported = self._source.tell()
