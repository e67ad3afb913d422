"""The model store in S3: by plain signed requests, and through boto3 where those will not do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import emf
from pilotlight.errors import StoreError
from pilotlight.http_get import Line
from pilotlight.ranges import fetch_by_ranges
from pilotlight.store import ObjectStore, OtherStore, Sink
from pilotlight.timer import Timer
from pilotlight.trust import Trust
from s3_get import Learned, S3Get
from s3_place import plain_access

# Who signs the certificates of AWS's own servers: https://www.amazontrust.com/repository/.
_AUTHORITIES = ("Amazon Root CA", "Starfield Services Root")


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
        """`environ` says where S3 is and who asks. `warn` is told when plain requests did not do."""
        self._url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._environ = environ
        self._clock = clock
        self._now = now
        self._warn = warn
        self._learned = Learned()
        # boto3 heeds both.
        self._trust = Trust(_AUTHORITIES, environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE"))

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.store.ObjectStore.fetch`."""
        access = plain_access(self._bucket, self._environ)
        if access is None:
            raise OtherStore("the environment asks for more than plain requests can do", self._through_boto3)
        source = S3Get(self._bucket, f"{self._prefix}{key}", access, self._learned, self._now, self._unforeseen)
        timer = Timer(self._clock, self._clock() + timeout)
        try:
            fetch_by_ranges(source, sink, lambda turn: Line(self._trust, turn), timer)
        except OtherStore:
            raise
        except StoreError as error:
            raise type(error)(f"{self._url}/{key}: {error}") from error

    def _unforeseen(self, why: str) -> OtherStore:
        def load() -> ObjectStore:
            self._warn(f"{self._url}: {why}; boto3 is asked instead, which takes its time to import")
            return self._through_boto3()

        return OtherStore(why, load)

    def _through_boto3(self) -> ObjectStore:
        from s3_boto3 import Boto3Store  # noqa: PLC0415 - takes longer than all else

        return Boto3Store(self._url)
