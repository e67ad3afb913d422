"""Requests to a registry of models: JSON documents and files, with retries, limits and errors that say what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.stores import Progress

TIMEOUT: Final = (5, 60)  # seconds to connect, and between two reads
RETRY_PAUSES: Final = (1.0, 3.0, 9.0)  # seconds before each retry

_LARGEST: Final = 16 * 10**6  # of a document, in bytes
_PIECE: Final = 1 << 20
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")

Result = TypeVar("Result")


class Anonymous(AuthBase):
    """Sends no credentials, not even those of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See requests."""
        return request


@dataclass(frozen=True, slots=True)
class Bearer(AuthBase):
    """Sends a token. The library leaves it out where a server redirects to another host."""

    token: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See requests."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to a server. `sign_in` says what to do if the server does not accept the credentials."""

    sign_in: str
    auth: AuthBase = field(default_factory=Anonymous)

    def document(self, url: str, params: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return a JSON document; a form is posted. Raise ObjectRefused, StoreUnavailable or StoreError."""

        def read() -> Any:  # noqa: ANN401 - JSON
            with self.open(url, params=params, form=form) as response:
                content = limited(response, url)
            try:
                return json.loads(content)
            except ValueError as error:
                raise StoreError(f"{url}: the answer is not JSON ({error}); check the address") from None

        return self.retried(read)

    def download(self, url: str, file: Path, most: int, progress: Progress) -> None:
        """Write what is at a URL to a file, and stop after `most` bytes. Raise as `document` does."""

        def read() -> None:
            sent = 0
            try:
                with self.open(url) as response, file.open("wb") as out:
                    for piece in response.iter_content(_PIECE):
                        sent += out.write(piece)
                        progress(len(piece))
                        if sent > most:  # its size is compared in the end
                            break
            except BaseException:
                progress(-sent)
                raise

        self.retried(read)

    @contextmanager
    def open(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """Yield the successful response to one request. Map the library's errors, in this one place."""
        try:
            # As it is: a compressed transfer would not have the size and the digest of the file.
            headers = {"Accept-Encoding": "identity"} | dict(headers or {})
            with requests.request(
                "POST" if form else "GET",
                url,
                params=params,
                data=form,
                headers=headers,
                auth=self.auth,
                timeout=TIMEOUT,
                stream=True,
                allow_redirects=not form,  # a redirect could send its secrets to another host
            ) as response:
                self._check(url, response)
                yield response
        except requests.RequestException as error:
            raise StoreUnavailable(f"{url}: no answer ({_short(error)}); check the address") from None

    def retried(self, read: Callable[[], Result]) -> Result:
        """Return the result of a request, which is sent again after StoreUnavailable."""
        for pause in RETRY_PAUSES:
            try:
                return read()
            except StoreUnavailable:
                time.sleep(pause)
        return read()

    def _check(self, url: str, response: requests.Response) -> None:
        status = response.status_code
        if response.ok:
            return
        said = _message(response)
        if status in (401, 403):
            raise ObjectRefused(f"{url}: access denied ({status}{said}); {self.sign_in}")
        if status in (400, 404):
            raise ObjectRefused(f"{url}: not found ({status}{said}); check the name and the version")
        if status == 429 or status >= 500:
            raise StoreUnavailable(f"{url} returned {status}{said}; try again later")
        raise StoreError(f"{url} returned {status}{said}")


def limited(response: requests.Response, url: str) -> bytes:
    """Return the content of a small response. Raise StoreError."""
    content = b""
    for piece in response.iter_content(_PIECE):
        content += piece
        if len(content) > _LARGEST:
            raise StoreError(f"{url} has more than {_LARGEST:,} bytes, expected a small document")
    return content


def check_https(url: str, setting: str) -> str:
    """Return a server's URL without its last slash. Raise UsageError for http to another machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise UsageError(f"{setting} is {url!r}; expected https://..., or http:// for this machine")
    return url.rstrip("/")


def _message(response: requests.Response) -> str:
    """Return what the server says, in one line."""
    try:
        document = response.json()
        found = document.get("message") or document.get("error") or document["errors"][0]["message"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ""
    return f": {' '.join(str(found).split())[:200]}"


def _short(error: requests.RequestException) -> str:
    """Return the reason without the library's own addresses of objects."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return str(reason).rpartition(">: ")[2] or type(error).__name__
