"""The model store in Cloud Storage, through Google's client."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.store import Sink

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError


class GcsStore:
    """`gs://bucket/prefix`. The client is imported on the first fetch, beside the runtime's import."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.store.ObjectStore.fetch`. One try a call: the caller repeats it."""
        # Otherwise every client asks for the bucket's metadata, which takes the permission storage.buckets.get.
        os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
        from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            with closing(storage.Client()) as client:
                blob = client.bucket(self._bucket).blob(f"{self._prefix}{key}")
                blob.download_to_file(sink, timeout=min(timeout, 10), retry=None, checksum=None)
        except GoogleAPICallError as error:
            raise self._translated(key, error) from error
        except (DataCorruption, GoogleAuthError, HTTPError, InvalidResponse, RequestException) as error:
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error

    def _translated(self, key: str, error: GoogleAPICallError) -> StoreError:
        where, code = f"{self._url}/{key}: {error}", error.code
        if code in (403, 404):
            return ObjectRefused(
                f"{where}. Either the object is not there, or the function's service account may not read it (it needs "
                "storage.objects.get on the bucket)"
            )
        if code is None or code >= 500 or code in (401, 408, 429):
            return StoreUnavailable(where)
        return StoreError(where)
