"""The model store in S3 through the boto3 of Lambda's runtime: for credentials and responses of every kind.

With its client it takes longer to import than the rest of a cold start: it is imported only if plain requests fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch import Sink
from s3_get import error_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20


class Boto3Store:
    """`s3://bucket/prefix`, as a `pilotlight.fetch.ObjectStore`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`. Fetches the whole object, in one stream."""
        try:
            client = _client(timeout)
            try:
                reply = client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{key}")
                sink.restart("")
                at = 0
                for chunk in reply["Body"].iter_chunks(_CHUNK):
                    sink.write(at, chunk)
                    at += len(chunk)
            finally:
                client.close()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = error.response.get("Error", {}).get("Code", "")
            raise error_of(status, code, f"{self._url}/{key}: {error}") from error
        except ParamValidationError as error:
            raise StoreError(f"{self._url}/{key}: {error}") from error
        except (BotoCoreError, HTTPError) as error:  # a body's stream raises some of urllib3's own errors
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error


def _client(timeout: float) -> S3Client:
    """Return a client for one fetch, in a session of its own.

    boto3's default session would keep the credentials in memory, and so in a snapshot of this process.
    """
    config = Config(connect_timeout=min(timeout, 3), read_timeout=min(timeout, 10), retries={"total_max_attempts": 1})
    return boto3.Session().client("s3", config=config)
