"""The model store in Cloud Storage, through Google's client."""

from __future__ import annotations

import os

from pilotlight.errors import ObjectRefused, StoreUnavailable
from pilotlight.store import Sink


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
        from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415

        client = storage.Client()
        try:
            blob = client.bucket(self._bucket).blob(f"{self._prefix}{key}")
            blob.download_to_file(sink, timeout=min(timeout, 10), retry=None, checksum=None)
        except (NotFound, Forbidden) as error:
            raise ObjectRefused(
                f"{self._url}/{key}: {error}. Either the object is not there, or the function's service account may "
                "not read it (it needs storage.objects.get on the bucket)"
            ) from error
        except (GoogleAPIError, GoogleAuthError, RequestException) as error:
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error
        finally:
            client.close()
