"""The model store in Cloud Storage through Google's own client: for credentials, proxies and answers of every kind.

With all that it needs it is most of what requirements.lock installs, and its import takes longer than all that a cold
start does otherwise: it is imported only where plain GETs will not do.
"""

from __future__ import annotations

import os
from contextlib import closing

# Otherwise every client asks for the bucket's metadata, which takes the permission storage.buckets.get.
os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests import RequestException
from urllib3.exceptions import HTTPError

from gcs_get import refused
from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch.protocol import Sink

_PATIENCE = 10.0  # seconds for the next bytes


class ClientStore:
    """`gs://bucket/prefix`, as a `pilotlight.fetch.protocol.ObjectStore`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.protocol.ObjectStore.fetch`. All of it, in one stream."""
        sink.restart("")
        try:
            # No request of ours needs a project, which would be asked for at the metadata server.
            with closing(storage.Client(project=None)) as client:
                blob = client.bucket(self._bucket).blob(f"{self._prefix}{key}")
                blob.download_to_file(_InOrder(sink), timeout=min(timeout, _PATIENCE), retry=None)
        except GoogleAPICallError as error:
            raise _translated(error, f"{self._url}/{key}: {error}") from error
        except (DataCorruption, GoogleAuthError, HTTPError, InvalidResponse, RequestException) as error:
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error


class _InOrder:
    """A file that can be written to from its beginning to its end, and nothing else."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._sink.write(self._at, chunk)
        self._at += len(chunk)


def _translated(error: GoogleAPICallError, said: str) -> StoreError:
    code = error.code
    if code in (403, 404):
        return refused(said)
    if code is None or code >= 500 or code in (401, 408, 429):
        return StoreUnavailable(said)
    return StoreError(said)
