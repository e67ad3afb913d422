"""The model store in Cloud Storage: by plain GETs, and through Google's client where those will not do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import cloud_logging
from gcs_get import GcsGet
from metadata_token import DEFAULT_HOST, TokenSource
from pilotlight.fetch.fallback import PlainFetch
from pilotlight.fetch.http_client import Address
from pilotlight.fetch.protocol import ObjectStore, Sink
from pilotlight.fetch.tls import Trust

_ENDPOINT = "https://storage.googleapis.com"

# Who signs the certificates of Google's own servers: https://pki.goog/faq/.
_AUTHORITIES = ("GTS Root R", "GlobalSign Root CA")

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
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._address = _plain_address(environ)
        is_emulated = bool(environ.get("STORAGE_EMULATOR_HOST"))
        host = environ.get("GCE_METADATA_HOST") or DEFAULT_HOST
        self._tokens = None if is_emulated else TokenSource(host, clock)
        client = ("Google's client", lambda: _through_the_client(url))
        self._plain = PlainFetch(url, Trust(_AUTHORITIES), client, clock, warn)

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.protocol.ObjectStore.fetch`."""
        if self._address is None:
            raise self._plain.unsuited()
        place = f"{self._prefix}{key}"
        source = GcsGet(self._address, self._bucket, place, self._tokens, self._plain.unforeseen)
        self._plain(source, key, sink, timeout)


def _through_the_client(url: str) -> ObjectStore:
    from gcs_client import ClientStore  # noqa: PLC0415 - takes longer than all else

    return ClientStore(url)


def _plain_address(environ: Mapping[str, str]) -> Address | None:
    """Where objects are got by plain GETs, or None where the environment asks for more than that."""
    if any(value and name.lower() in _PROXIES for name, value in environ.items()):
        return None
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        return _server(emulator, "http", "https")
    if any(environ.get(name) for name in _FOR_THE_CLIENT) or _has_signed_in(environ):
        return None
    endpoint = environ.get("API_ENDPOINT_OVERRIDE") or _ENDPOINT  # Google's client knows it too
    return _server(endpoint, "https")  # no token goes out in the clear


def _server(url: str, *schemes: str) -> Address | None:
    """The server of a URL that is its own and nothing below it."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.path not in ("", "/") or parts.username:
        return None
    tls = parts.scheme == "https"
    return Address(tls=tls, host=parts.hostname, port=parts.port or (443 if tls else 80))


def _has_signed_in(environ: Mapping[str, str]) -> bool:
    """Whether gcloud keeps somebody's credentials here, which come before those of the metadata server."""
    folder = environ.get("CLOUDSDK_CONFIG") or Path(environ.get("HOME", "/"), ".config", "gcloud")
    return Path(folder, "application_default_credentials.json").is_file()
