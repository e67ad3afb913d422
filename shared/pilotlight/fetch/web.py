"""A model store behind plain HTTP: a web server's folder, or a bucket that everybody may read."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

from pilotlight.errors import ObjectRefused, StoreUnavailable
from pilotlight.fetch import Sink

_CHUNK = 1 << 20
_REFUSED = (401, 403, 404, 410)


class WebStore:
    """`https://host/prefix`, by one GET for each file. Proxies and trust are those of Python's own client."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `ObjectStore.fetch`."""
        url = f"{self._url}/{quote(key)}"
        try:
            with urlopen(url, timeout=timeout) as response:  # noqa: S310 - `open_store` gives it https:// and http://
                sink.restart("")
                at = 0
                while chunk := response.read(_CHUNK):
                    sink.write(at, chunk)
                    at += len(chunk)
        except HTTPError as error:
            kind = ObjectRefused if error.code in _REFUSED else StoreUnavailable
            raise kind(f"{url} answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise StoreUnavailable(f"{url} cannot be fetched: {error}") from error
