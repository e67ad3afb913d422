"""The model store in S3, through the boto3 that Lambda's runtime brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.store import Sink

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_CHUNK = 1 << 20

# Codes of a 4xx that another try may get past: the platform renews credentials.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_PASSING = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "RequestTimeout", "SlowDown", "OperationAborted"),
        *("Throttling", "ThrottlingException", "RequestLimitExceeded", "KMS.ThrottlingException"),
    )
)


class S3Store:
    """`s3://bucket/prefix`. boto3 is imported on the first fetch, beside the runtime's import."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.store.ObjectStore.fetch`. One try a call: the caller repeats it."""
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        config = Config(
            connect_timeout=min(timeout, 3), read_timeout=min(timeout, 10), retries={"total_max_attempts": 1}
        )
        # A session of its own, gone with this call: boto3's default one would keep the credentials, also for whoever
        # reads a snapshot of this process.
        client = boto3.Session().client("s3", config=config)
        try:
            reply = client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{key}")
            for chunk in reply["Body"].iter_chunks(_CHUNK):
                sink.write(chunk)
        except ClientError as error:
            raise self._translated(key, error) from error
        except ParamValidationError as error:
            raise StoreError(f"{self._url}/{key}: {error}") from error
        except (BotoCoreError, HTTPError) as error:  # a body's stream lets some of urllib3's own errors through
            raise StoreUnavailable(f"{self._url}/{key}: {error}") from error
        finally:
            client.close()

    def _translated(self, key: str, error: ClientError) -> StoreError:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        where = f"{self._url}/{key}: {error}"
        if code in _PASSING or status in (408, 429) or not 300 <= status < 500:
            return StoreUnavailable(where)
        if status in (403, 404):
            return ObjectRefused(
                f"{where}. Either the object is not there, or the function's role may not read it (without "
                "s3:ListBucket a missing object is a 403 too)"
            )
        return StoreError(where)
