"""An object from Cloud Storage through Google's own client: for credentials, proxies and answers of every kind.

With all that it needs it is most of what requirements.lock installs, and its import takes longer than all that a cold
start does otherwise: it is imported only where a plain GET will not do.
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
from pilotlight.store import Sink

_PATIENCE = 10.0  # seconds for the next bytes


def get(bucket: str, name: str, sink: Sink, timeout: float) -> None:
    """Write an object to `sink`. One try: the caller repeats it, and bounds it.

    Raises StoreUnavailable for what may pass, ObjectRefused for a 403 or a 404, and StoreError.
    """
    try:
        # No request of ours needs a project, which would be asked for at the metadata server.
        with closing(storage.Client(project=None)) as client:
            blob = client.bucket(bucket).blob(name)
            blob.download_to_file(sink, timeout=min(timeout, _PATIENCE), retry=None)
    except GoogleAPICallError as error:
        raise _translated(error) from error
    except (DataCorruption, GoogleAuthError, HTTPError, InvalidResponse, RequestException) as error:
        raise StoreUnavailable(str(error)) from error


def _translated(error: GoogleAPICallError) -> StoreError:
    code = error.code
    if code in (403, 404):
        return refused(str(error))
    if code is None or code >= 500 or code in (401, 408, 429):
        return StoreUnavailable(str(error))
    return StoreError(str(error))
