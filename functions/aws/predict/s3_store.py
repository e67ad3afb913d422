"""The model store in S3: by plain signed requests, and through boto3 for what those cannot do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import emf
from pilotlight.fetch import ObjectStore, Sink
from pilotlight.fetch.ranges import PlainFetch
from pilotlight.fetch.tls import Trust
from s3_get import Learned, S3Get
from s3_place import plain_access

# The authorities that sign the certificates of AWS's own servers: https://www.amazontrust.com/repository/.
AUTHORITIES = ("Amazon Root CA", "Starfield Services Root")


class S3Store:
    """`s3://bucket/prefix`. Between fetches it keeps no credentials and no connection."""

    def __init__(
        self,
        url: str,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        warn: Callable[[str], None] = emf.warn,
    ) -> None:
        """`environ` has the credentials and the endpoint. `warn` logs why plain requests failed."""
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._environ = environ
        self._now = now
        self._learned = Learned()
        # boto3 reads both.
        trust = Trust(AUTHORITIES, environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE"))
        self._plain = PlainFetch(url, trust, ("boto3", lambda: _boto3_store(url)), clock, warn)

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        access = plain_access(self._bucket, self._environ)
        if access is None:
            raise self._plain.unsupported_environment()
        name = f"{self._prefix}{key}"
        source = S3Get(self._bucket, name, access, self._learned, self._now, self._plain.unsupported)
        self._plain(source, key, sink, timeout)


def _boto3_store(url: str) -> ObjectStore:
    from s3_boto3 import Boto3Store  # noqa: PLC0415 - slower to import than the rest of a start

    return Boto3Store(url)
