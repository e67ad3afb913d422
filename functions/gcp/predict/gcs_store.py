"""The model store in Cloud Storage: by plain GETs, and through Google's client for what those cannot do.

https://cloud.google.com/storage/docs/json_api/v1/objects/get. The lock pins the digest and names no generation. The
generation of the first response pins the object for the requests that follow. X-Goog-Hash is ignored: TLS protects the
bytes on their way, the core compares them with the lock's SHA-256, and one more hash would cost every cold start time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import cloud_logging
from metadata_token import DEFAULT_HOST, TokenSource
from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight.fetch import Deadline, ObjectStore, Sink, Span
from pilotlight.fetch.http_client import Address, Connection, HttpResponse, percent_encoded
from pilotlight.fetch.ranges import PlainFetch, Replaced
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import dataclass

_ENDPOINT = "https://storage.googleapis.com"
_MAX_ERROR_BYTES = 500

# The authorities that sign the certificates of Google's own servers: https://pki.goog/faq/.
AUTHORITIES = ("GTS Root R", "GlobalSign Root CA")

# Variables that Google's client reads and plain GETs do not: other credentials, another universe, TLS with a client
# certificate.
_FOR_CLIENT = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", "GOOGLE_API_USE_CLIENT_CERTIFICATE"),
    *("GCE_METADATA_MTLS_MODE", "NO_GCE_CHECK"),
)
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy"))


def refusal(message: str) -> ObjectRefused:
    """Return the error for a 403 or a 404, with the causes that both can have."""
    return ObjectRefused(
        f"{message.rstrip('.')}. Either the object does not exist, or the function's service account may not read it "
        "(it needs storage.objects.get on the bucket)"
    )


class GcsStore:
    """`gs://bucket/prefix`."""

    def __init__(
        self,
        url: str,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        warn: Callable[[str], None] = cloud_logging.warn,
    ) -> None:
        """`environ` has the endpoint and the credentials. `warn` logs why a plain GET failed."""
        self._bucket, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._address = plain_address(environ)
        self._tokens = None if environ.get("STORAGE_EMULATOR_HOST") else token_source(environ, clock)
        sdk = ("Google's client", lambda: _client_store(url))
        self._plain = PlainFetch(url, Trust(AUTHORITIES), sdk, clock, warn)

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        if self._address is None:
            raise self._plain.unsupported_environment()
        name = f"{self._prefix}{key}"
        source = GcsGet(self._address, self._bucket, name, self._tokens, self._plain.unsupported)
        self._plain(source, key, sink, timeout)


@dataclass(frozen=True, slots=True)
class GcsGet:
    """A `pilotlight.fetch.ranges.Source`. `tokens` is None for an emulator, which needs none.

    `unsupported` makes the error, from a reason, for a response that Google's client may handle.
    """

    address: Address
    bucket: str
    name: str
    tokens: TokenSource | None
    unsupported: Callable[[str], StoreError]

    def reach(self, connection: Connection, deadline: Deadline) -> None:
        """See `Source`."""
        connection.reach(self.address, deadline)

    def open(self, connection: Connection, span: Span | None, pin: str, deadline: Deadline) -> HttpResponse:
        """See `Source`."""
        target = f"/storage/v1/b/{percent_encoded(self.bucket)}/o/{percent_encoded(self.name)}?alt=media"
        if pin:
            target += f"&generation={pin}"
        headers = {"Accept-Encoding": "identity"}
        if span:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        response = connection.get(self.address, target, headers | self._authorization(connection, deadline), deadline)
        if response.status not in (200, 206, 416):
            raise self._error(response, pin, deadline)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self.unsupported("the object is stored compressed")
        return response

    def pin_of(self, response: HttpResponse) -> str:
        """See `Source`."""
        generation = response.headers.get("x-goog-generation", "")
        return generation if generation.isdecimal() else ""

    def _authorization(self, connection: Connection, deadline: Deadline) -> dict[str, str]:
        if self.tokens is None:
            return {}
        request = self.tokens.request(deadline.next_timeout())
        try:
            connection.reach(self.address, deadline)  # TLS is set up while the token comes
            return {"Authorization": f"Bearer {request.token(deadline.next_timeout())}"}
        finally:
            request.close()

    def _error(self, response: HttpResponse, pin: str, deadline: Deadline) -> StoreError:
        status = response.status
        message = " ".join(f"{status} {response.read_text(_MAX_ERROR_BYTES, deadline)}".split())
        if pin and status in (404, 412):
            return Replaced(f"the object was replaced during the fetch ({message})")
        if status in (403, 404):
            return refusal(message)
        if status == 401 and self.tokens:
            self.tokens.forget()
        if status in (401, 408, 429) or status >= 500:
            return StoreUnavailable(message)
        return self.unsupported(message)


def token_source(environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> TokenSource:
    """Return the tokens of the function's own service account."""
    return TokenSource(environ.get("GCE_METADATA_HOST") or DEFAULT_HOST, clock)


def _client_store(url: str) -> ObjectStore:
    try:
        from gcs_client import ClientStore  # noqa: PLC0415 - slower to import than the rest of a start
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{url}: this package has no Google client ({error}); build it with 'client = true' in gcp.toml, or by "
            "'pilotlight build --cloud gcp --client'"
        ) from None
    return ClientStore(url)


def plain_address(environ: Mapping[str, str]) -> Address | None:
    """Return the server for plain GETs, or None if the environment needs Google's client."""
    if any(value and name.lower() in _PROXIES for name, value in environ.items()):
        return None
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        return _server(emulator, "http", "https")
    if any(environ.get(name) for name in _FOR_CLIENT) or _has_user_credentials(environ):
        return None
    endpoint = environ.get("API_ENDPOINT_OVERRIDE") or _ENDPOINT  # Google's client reads it too
    return _server(endpoint, "https")  # no token is sent unencrypted


def _server(url: str, *schemes: str) -> Address | None:
    """Return the server of a URL that has one of these schemes and no path."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.path not in ("", "/") or parts.username:
        return None
    tls = parts.scheme == "https"
    return Address(tls=tls, host=parts.hostname, port=parts.port or (443 if tls else 80))


def _has_user_credentials(environ: Mapping[str, str]) -> bool:
    """Whether gcloud has a user's credentials here, which take precedence over the metadata server's."""
    folder = environ.get("CLOUDSDK_CONFIG") or Path(environ.get("HOME", "/"), ".config", "gcloud")
    return Path(folder, "application_default_credentials.json").is_file()
