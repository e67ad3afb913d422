"""The model store in S3 through the boto3 that Lambda's runtime brings: for credentials and answers of every kind.

With its client it takes longer to import than all that a cold start does otherwise: it is imported only where plain
requests will not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from pilotlight.errors import StoreError, StoreUnavailable
from pilotlight.fetch.protocol import Sink
from s3_answers import refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20


class Boto3Store:
    """`s3://bucket/prefix`, as a `pilotlight.fetch.protocol.ObjectStore`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.protocol.ObjectStore.fetch`. All of it, in one stream."""
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
            raise refusal(status, code, f"{self._url}/{key}: {error}") from error
        except ParamValidationError as error:
            raise StoreError(f"{self._url}/{key}: {error}") from error
        except (BotoCoreError, HTTPError) as error:  # a body's stream lets some of urllib3's own errors through
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error


def _client(timeout: float) -> S3Client:
    """A client of its own for each fetch, in a session that goes with it.

    boto3's default session would keep the credentials, also for whoever reads a snapshot of this process.
    """
    config = Config(connect_timeout=min(timeout, 3), read_timeout=min(timeout, 10), retries={"total_max_attempts": 1})
    return boto3.Session().client("s3", config=config)
