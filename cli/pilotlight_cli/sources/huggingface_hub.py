"""Repositories of the Hugging Face Hub at one commit, through its HTTP API: `hf://ORG/REPO@COMMIT[/PATH]`.

https://huggingface.co/docs/hub/api. A branch or a tag moves; only a commit names the same files for ever.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pilotlight.errors import StoreError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.client import Anonymous, Bearer, Client, check_https
from pilotlight_cli.sources.files import Entry, Files, remote
from pilotlight_cli.stores import Progress

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REFERENCE: Final = re.compile(rf"hf://(?P<repository>(?:{_NAME}/)?{_NAME})(?:@(?P<revision>[^/]+))?(?:/(?P<path>.+))?")
_COMMIT: Final = r"[0-9a-f]{40}"
_HUB: Final = "https://huggingface.co"
_SIGN_IN: Final = "set HF_TOKEN to a token that may read the repository"


def repository(argument: str, environ: Mapping[str, str] = os.environ) -> tuple[Files, str]:
    """Return the files of a repository, and the path in it that the argument names, or an empty string.

    Raise UsageError, ObjectRefused or StoreError.
    """
    reference = _REFERENCE.fullmatch(argument)
    if reference is None:
        raise UsageError(f"{argument!r} is no repository; expected hf://ORG/REPO@COMMIT or hf://ORG/REPO@COMMIT/PATH")
    name, commit = reference["repository"], reference["revision"] or ""
    hub = check_https(environ.get("HF_ENDPOINT") or _HUB, "HF_ENDPOINT")
    token = environ.get("HF_TOKEN")
    client = Client(_SIGN_IN, Bearer(token) if token else Anonymous())
    if not re.fullmatch(_COMMIT, commit):
        raise UsageError(
            f"{argument!r} names {f'the revision {commit!r}' if commit else 'no revision'}, which moves; expected a "
            f"commit of 40 digits. {hub}/{name}/commits/main lists them"
        )
    place = f"hf://{name}@{commit}"
    document = client.document(f"{hub}/api/models/{name}/revision/{commit}", {"blobs": "true"})
    entries = _entries(document, place)

    def fetch(file: str, path: Path, progress: Progress) -> None:
        client.download(f"{hub}/{name}/resolve/{commit}/{quote(file)}", path, entries[file].size, progress)

    return remote(place, entries, fetch, origin=f"{hub}/{name}/tree/{commit}"), reference["path"] or ""


def _entries(document: Any, place: str) -> dict[str, Entry]:  # noqa: ANN401 - JSON
    """Return the files that the API lists, with git's digests, or SHA-256 for large ones."""
    try:
        return {str(item["rfilename"]): _entry(item) for item in document["siblings"]}
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{place}: the answer does not list files with their sizes; is it the hub?") from None


def _entry(item: Mapping[str, Any]) -> Entry:
    large = item.get("lfs")
    if large:
        return Entry(int(large["size"]), f"sha256:{large['sha256']}")
    return Entry(int(item["size"]), f"sha1:{item['blobId']}")
