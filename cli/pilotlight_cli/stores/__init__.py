"""Model stores as the developer's command sees them: objects by key below a URL, created but never overwritten.

`pilotlight.fetch.ObjectStore` is the smaller view that a cold start has of the same stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pilotlight.errors import PilotlightError, StoreError

Progress = Callable[[int], None]
"""Gets the bytes done since its last call; they sum up to the object's size. A repeated range is taken back first, as a
negative number. Never called by two threads at once."""


# Manifests, aliases and golden samples are read whole, and are far smaller than this.
LARGEST = 100_000_000


class StoreUrlError(PilotlightError):
    """A store's URL, or the endpoint that the environment sets for it, is malformed."""


class AlreadyExists(StoreError):
    """The key has an object already, which stays as it is."""


class ObjectTooLarge(StoreError):
    """The object is much larger than what ought to be there, and was not read."""


class Store(Protocol):
    """A model store. Keys are relative to its URL: `breast-cancer/1/model.onnx`.

    Every method raises ObjectRefused for what is missing or not permitted, StoreUnavailable for what may pass, and
    StoreError for the rest, each naming the object's URL.
    """

    @property
    def url(self) -> str:
        """Where the store is, without a slash at the end."""
        ...

    def read(self, key: str) -> bytes:
        """The bytes of a small object. Raises ObjectTooLarge beyond `LARGEST`."""
        ...

    def download(self, key: str, file: Path, progress: Progress) -> None:
        """Write an object to `file`, which has that name only once it is complete."""
        ...

    def create(self, key: str, content: bytes) -> None:
        """Write a small object where there is none: of several at once, one does; the others get AlreadyExists."""
        ...

    def create_from(self, key: str, file: Path, progress: Progress) -> None:
        """As `create`, from a file of any size; a large one goes in parts. A failure leaves no object."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Write a small object, whether or not there is one."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys below the folder `prefix` (with or without its slash; all keys if empty), sorted."""
        ...


def open_store(url: str) -> Store:
    """The store at `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`. Asks nothing of it yet.

    AWS_ENDPOINT_URL_S3 and STORAGE_EMULATOR_HOST lead to another endpoint. Raises StoreUrlError.
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
    """Bucket and prefix of a URL like `s3://bucket/a/b`; the prefix is empty or ends in a slash."""
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
    """The key, if it leads to a place below the store's URL."""
    if not _is_key(key):
        raise StoreError(
            f"{key!r} cannot be a key in {url}; expected names between single slashes, like model/1/manifest.json"
        )
    return key


def check_size(where: str, size: int) -> None:
    """Refuse an object that is too large to be read whole. Raises ObjectTooLarge."""
    if size > LARGEST:
        raise ObjectTooLarge(
            f"{where} has more than {LARGEST:,} bytes, expected a small JSON file; remove or replace it"
        )


def below(prefix: str) -> str:
    """What the keys below a folder start with."""
    return f"{prefix.rstrip('/')}/" if prefix else ""


def _is_key(key: str) -> bool:
    names = key.split("/")
    return not any(name in ("", ".", "..") for name in names) and not re.search(r"[\x00-\x1f\x7f\\]", key)
