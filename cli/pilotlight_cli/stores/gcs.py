"""A model store in Cloud Storage: `gs://bucket/prefix`, through Google's client."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, PreconditionFailed, RetryError
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
_PATIENCE = 8  # seconds of trying again; the client's own 120 are long for an endpoint that does not answer
_PATIENCE_DOWNLOAD = 300  # counted from its start; what has come is kept

_CHUNK = 8 << 20

# The object's metadata that tells a publisher its own object from another's.
_WRITER = "pilotlight-writer"

_NO_ANSWER = (
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
        with self._translated(f"{self.url}/{key}", "storage.objects.get"):
            content = BytesIO()
            self._blob(key).download_to_file(
                _Counted(content, lambda _: check_size(f"{self.url}/{key}", content.tell())),
                checksum="crc32c",
                timeout=_TIMEOUT,
                retry=_RETRY,
            )
            return content.getvalue()

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.download`."""
        with self._translated(f"{self.url}/{key}", "storage.objects.get"), arriving(file) as out:
            blob = self._blob(key)
            # Brings the generation, so that a resumed download goes on with the same object.
            blob.reload(timeout=_TIMEOUT, retry=_RETRY)
            blob.download_to_file(
                _Counted(out, progress),
                checksum="crc32c",
                timeout=_TIMEOUT,
                retry=_RETRY.with_timeout(_PATIENCE_DOWNLOAD),
            )

    def create(self, key: str, content: bytes) -> None:
        """See `Store.create`."""
        self._create(key, BytesIO(content), len(content))

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """See `Store.create_from`."""
        size = file.stat().st_size
        with file.open("rb") as source:
            sent = _Sent(source, progress)
            self._create(key, sent, size)
            sent.report()

    def replace(self, key: str, content: bytes) -> None:
        """See `Store.replace`."""
        with self._translated(f"{self.url}/{key}", "storage.objects.create and storage.objects.delete"):
            self._blob(key).upload_from_string(content, checksum="crc32c", timeout=_TIMEOUT, retry=_RETRY)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        with self._translated(self.url, "storage.objects.list"):
            for blob in self.client.list_blobs(
                self.bucket,
                prefix=f"{self.prefix}{below(prefix)}",
                fields="items(name),nextPageToken",
                timeout=_TIMEOUT,
                retry=_RETRY,
            ):
                if not blob.name.endswith("/"):  # consoles make empty objects to show as folders
                    yield blob.name.removeprefix(self.prefix)

    def _blob(self, key: str, chunk_size: int | None = None) -> storage.Blob:
        name = f"{self.prefix}{check_key(self.url, key)}"
        return self.client.bucket(self.bucket).blob(name, chunk_size=chunk_size)

    def _create(self, key: str, source: BytesIO | _Sent, size: int) -> None:
        blob = self._blob(key, _CHUNK)
        blob.metadata = {_WRITER: secrets.token_hex(16)}
        with self._translated(f"{self.url}/{key}", "storage.objects.create"):
            try:
                blob.upload_from_file(
                    source, size=size, if_generation_match=0, checksum="crc32c", timeout=_TIMEOUT, retry=_RETRY
                )
            except PreconditionFailed as error:
                # Unless a first try of ours had worked, and only its answer was lost.
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
    def _translated(self, where: str, permission: str) -> Iterator[None]:
        """The one place where the client's errors become ours."""
        try:
            yield
        except DataCorruption as error:
            raise StoreUnavailable(f"{where}: bytes changed on the way (their CRC32C is wrong); try again") from error
        except (GoogleAPIError, InvalidResponse, RequestException, *_NO_ANSWER) as error:
            raise self._answer(where, permission, error) from error
        except GoogleAuthError as error:
            raise StoreError(f"{where}: Google credentials were not accepted ({error}); {_SIGN_IN}") from error

    def _answer(self, where: str, permission: str, error: Exception) -> StoreError:
        cause = error.cause if isinstance(error, RetryError) and error.cause else error
        status, said = _status(cause)
        if status == 404 and "bucket does not exist" in said:
            return ObjectRefused(f"{where}: there is no bucket {self.bucket!r} (404); make it, or correct the URL")
        if status in (403, 404):
            return ObjectRefused(
                f"{where} was refused ({status}). Either it or the bucket {self.bucket!r} is not there, or these "
                f"credentials lack {permission} (without storage.objects.list a missing object is a 403 too)"
            )
        if status == 401:
            return StoreError(f"{where}: Google credentials were not accepted (401); {_SIGN_IN}")
        if _may_pass(cause):
            answer = f"no answer from {self.client.api_endpoint} ({cause})"
            if status:
                answer = f"{self.client.api_endpoint} answers {status}; try again later"
            return StoreUnavailable(f"{where}: {answer}")
        return StoreError(f"{where}: {said}")


def open_gcs(url: str) -> GcsStore:
    """The store at `gs://bucket/prefix`, with Google's default credentials, or none for STORAGE_EMULATOR_HOST."""
    bucket, prefix = split_url(url)
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator and "://" not in emulator:
        raise StoreUrlError(f"STORAGE_EMULATOR_HOST is {emulator!r}; expected a URL like http://127.0.0.1:9023")
    # Otherwise the client asks for the bucket's metadata in a thread of its own, which takes storage.buckets.get.
    os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
    try:
        # Objects belong to a bucket; no request of ours needs a project.
        client = storage.Client.create_anonymous_client() if emulator else storage.Client(project=None)
    except DefaultCredentialsError as error:
        raise StoreError(f"{url}: no Google credentials were found; {_SIGN_IN}") from error
    return GcsStore(url.rstrip("/"), client, bucket, prefix)


def _status(error: Exception) -> tuple[int | None, str]:
    """The HTTP status of an answer (None: there was none) and what it said."""
    if isinstance(error, GoogleAPICallError):
        return error.code, error.message
    if isinstance(error, InvalidResponse):
        return error.response.status_code, error.response.text
    return None, str(error)


def _may_pass(error: Exception) -> bool:
    """Whether another try can help. The client's own rule leaves the answer unread, and so its connection open."""
    status, _ = _status(error)
    return isinstance(error, _NO_ANSWER) if status is None else status >= 500 or status in (408, 429)


_RETRY = DEFAULT_RETRY.with_predicate(_may_pass).with_timeout(_PATIENCE)


class _Counted:
    """Writes to a file and reports how much."""

    def __init__(self, out: BinaryIO, progress: Progress) -> None:
        self._out = out
        self._progress = progress

    def write(self, content: bytes) -> int:
        count = self._out.write(content)
        self._progress(count)
        return count


class _Sent:
    """Reads a file for the client, which sends one chunk before it reads the next."""

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
        """Everything that was read has been sent."""
        self._progress(self._source.tell() - self._reported)
        self._reported = self._source.tell()
