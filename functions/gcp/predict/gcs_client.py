"""The model store in Cloud Storage through Google's own client: for credentials, proxies and responses of every kind.

With its dependencies it is most of what requirements.lock installs, and takes longer to import than the rest of a cold
start: it is imported only if plain GETs fail.
"""

from __future__ import annotations

import os
from contextlib import closing

# Otherwise every client requests the bucket's metadata, which needs the permission storage.buckets.get.
os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests import RequestException
from urllib3.exceptions import HTTPError

from gcs_store import refusal
from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch import Sink

_READ_TIMEOUT = 10.0  # seconds


class ClientStore:
    """`gs://bucket/prefix`, as a `pilotlight.fetch.ObjectStore`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`. Fetches the whole object, in one stream."""
        sink.restart("")
        try:
            # No request needs a project, which the client would look up at the metadata server.
            with closing(storage.Client(project=None)) as client:
                blob = client.bucket(self._bucket).blob(f"{self._prefix}{key}")
                blob.download_to_file(_SinkWriter(sink), timeout=min(timeout, _READ_TIMEOUT), retry=None)
        except GoogleAPICallError as error:
            raise _error_of(error, f"{self._url}/{key}: {error}") from error
        except (DataCorruption, GoogleAuthError, HTTPError, InvalidResponse, RequestException) as error:
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error


class _SinkWriter:
    """A sink as a file that is written from its beginning to its end."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = 0

    def write(self, chunk: bytes) -> None:
        """Write the next bytes."""
        self._sink.write(self._at, chunk)
        self._at += len(chunk)


def _error_of(error: GoogleAPICallError, message: str) -> StoreError:
    code = error.code
    if code in (403, 404):
        return refusal(message)
    if code is None or code >= 500 or code in (401, 408, 429):
        return StoreUnavailable(message)
    return StoreError(message)
