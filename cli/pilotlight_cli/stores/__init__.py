"""Model stores for the command: objects by key below a URL, created but never overwritten; `gc` alone deletes some.

`pilotlight.fetch.ObjectStore` is the smaller interface that a cold start uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pilotlight.errors import PilotlightError, StoreError

Progress = Callable[[int], None]
"""Gets the bytes transferred since its last call; they add up to the object's size. Before a range is retried,
it is subtracted as a negative number. Never called by two threads at once."""


# Manifests, aliases and golden samples are read whole; all are far smaller.
LARGEST = 100_000_000

# The account that must own a bucket in S3; for the command alone.
OWNER_VARIABLE = "PILOTLIGHT_BUCKET_OWNER"


class StoreUrlError(PilotlightError):
    """A store's URL or endpoint setting is malformed."""


class AlreadyExists(StoreError):
    """The key already has an object, which is left unchanged."""


class ObjectTooLarge(StoreError):
    """The object is much larger than expected and was not read."""


class Store(Protocol):
    """A model store. Keys are relative to its URL: `breast-cancer/1/model.onnx`.

    Every method raises ObjectRefused if an object is missing or access is denied, StoreUnavailable for transient
    failures, and StoreError otherwise, each with the object's URL.
    """

    @property
    def url(self) -> str:
        """The store's URL, without a trailing slash."""
        ...

    def read(self, key: str) -> bytes:
        """Return the bytes of a small object. Raises ObjectTooLarge beyond `LARGEST`."""
        ...

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """Write an object to `file`, which gets its name when complete."""
        ...

    def create(self, key: str, content: bytes) -> None:
        """Write a small object if the key has none. Of concurrent calls one succeeds; raises AlreadyExists."""
        ...

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """Write a file of any size as `create` does, in parts if large. A failure leaves no object."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Write a small object, overwriting any."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below the folder `prefix` (with or without its slash; all keys if empty), sorted."""
        ...

    def modified(self, key: str) -> datetime:
        """Return when an object was last written, in UTC."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object. One that is gone already is no error."""
        ...


def open_store(url: str) -> Store:
    """Open the store at `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`. Sends no request yet.

    AWS_ENDPOINT_URL_S3 and STORAGE_EMULATOR_HOST set another endpoint. Raises StoreUrlError.
    """
    # A cloud's client takes longer to import than most commands take to run.
    scheme = url.partition("://")[0]
    if scheme == "s3":
        from pilotlight_cli.stores.s3 import open_s3

        return open_s3(url)
    if scheme == "gs":
        from pilotlight_cli.stores.gcs import open_gcs

        return open_gcs(url)
    if url.startswith("file:"):
        from pilotlight_cli.stores.folder import open_folder

        return open_folder(url)
    raise StoreUrlError(
        f"{url!r} is not a model store; expected s3://bucket/prefix, gs://bucket/prefix or file:///folder"
    )


def split_url(url: str) -> tuple[str, str]:
    """Split a URL like `s3://bucket/a/b` into bucket and prefix, which is empty or ends in a slash.

    Raises StoreUrlError.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]", bucket):
        raise StoreUrlError(
            f"{url!r} names the bucket {bucket!r}; expected {scheme}://bucket or {scheme}://bucket/prefix"
        )
    if not prefix:
        return bucket, ""
    if not _is_key(prefix):
        raise StoreUrlError(
            f"{url!r} has the prefix {prefix!r}; expected names between single slashes, like team/models"
        )
    return bucket, f"{prefix}/"


def check_key(url: str, key: str) -> str:
    """Return the key if it is below the store's URL. Raises StoreError."""
    if not _is_key(key):
        raise StoreError(
            f"{key!r} cannot be a key in {url}; expected names between single slashes, like model/1/manifest.json"
        )
    return key


def check_size(where: str, size: int) -> None:
    """Raise ObjectTooLarge for an object that is too large to be read whole."""
    if size > LARGEST:
        raise ObjectTooLarge(
            f"{where} has more than {LARGEST:,} bytes, expected a small JSON file; remove or replace it"
        )


def below(prefix: str) -> str:
    """Return the prefix of all keys below a folder."""
    return f"{prefix.rstrip('/')}/" if prefix else ""


def _is_key(key: str) -> bool:
    names = key.split("/")
    return not any(name in ("", ".", "..") for name in names) and not re.search(r"[\x00-\x1f\x7f\\]", key)
