"""The model store in Cloud Storage: by a plain GET, and through Google's client where that will not do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import cloud_logging
from gcs_get import PlainGet, Unforeseen
from metadata_token import DEFAULT_HOST, TokenSource
from pilotlight.errors import StoreError
from pilotlight.store import Sink
from time_limit import within

_ENDPOINT = "https://storage.googleapis.com"
_RESERVE = 0.5  # seconds that a plain GET gets less: it can say best why it did not get done

# Variables that mean something to Google's client and nothing to a plain GET: other credentials, another universe,
# TLS with a certificate of one's own.
_FOR_THE_CLIENT = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", "GOOGLE_API_USE_CLIENT_CERTIFICATE"),
    *("GCE_METADATA_MTLS_MODE", "NO_GCE_CHECK"),
)
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy"))


class GcsStore:
    """`gs://bucket/prefix`."""

    def __init__(
        self,
        url: str,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        warn: Callable[[str], None] = cloud_logging.warn,
    ) -> None:
        """`environ` says where Cloud Storage is and who asks. `warn` is told when a plain GET did not do."""
        self._url = url
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock = clock
        self._warn = warn
        self._plain = _plain_get(self._bucket, environ, clock)

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.store.ObjectStore.fetch`. One try a call: the caller repeats it."""
        end = self._clock() + timeout
        name = f"{self._prefix}{key}"
        try:
            if not self._fetch_plainly(name, sink, timeout):
                import gcs_client  # noqa: PLC0415 - takes longer than all else

                left = end - self._clock()
                within(left, sink, lambda gate: gcs_client.get(self._bucket, name, gate, left))
        except StoreError as error:
            raise type(error)(f"{self._url}/{key}: {error}") from error

    def _fetch_plainly(self, name: str, sink: Sink, timeout: float) -> bool:
        """Whether a plain GET did."""
        plain = self._plain
        if plain is None:
            return False
        try:
            within(timeout, sink, lambda gate: plain.get(name, gate, timeout - min(timeout / 10, _RESERVE)))
        except Unforeseen as error:
            self._warn(f"{self._url}: {error}; Google's client is asked instead, which takes its time to import")
            return False
        return True


def _plain_get(bucket: str, environ: Mapping[str, str], clock: Callable[[], float]) -> PlainGet | None:
    """What gets objects plainly, or None where the environment asks for more than that."""
    if any(value and name.lower() in _PROXIES for name, value in environ.items()):
        return None
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        return PlainGet(emulator, bucket, None, clock) if _is_root(emulator, "http", "https") else None
    endpoint = environ.get("API_ENDPOINT_OVERRIDE") or _ENDPOINT  # Google's client knows it too
    if any(environ.get(name) for name in _FOR_THE_CLIENT) or _has_signed_in(environ):
        return None
    if not _is_root(endpoint, "https"):  # no token goes out in the clear
        return None
    host = environ.get("GCE_METADATA_HOST") or DEFAULT_HOST
    return PlainGet(endpoint, bucket, TokenSource(host, clock), clock)


def _is_root(url: str, *schemes: str) -> bool:
    """Whether a URL is a server's own and nothing below it."""
    parts = urlsplit(url)
    return parts.scheme in schemes and bool(parts.hostname) and parts.path in ("", "/") and not parts.username


def _has_signed_in(environ: Mapping[str, str]) -> bool:
    """Whether gcloud keeps somebody's credentials here, which come before those of the metadata server."""
    folder = environ.get("CLOUDSDK_CONFIG") or Path(environ.get("HOME", "/"), ".config", "gcloud")
    return Path(folder, "application_default_credentials.json").is_file()
