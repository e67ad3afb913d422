"""Repositories of the Hugging Face hub at a commit: `hf://ORG/REPO@COMMIT[/PATH]`.

https://huggingface.co/docs/hub/api has the two routes: a commit's files with their digests, and a file.
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

_HUB: Final = "https://huggingface.co"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REFERENCE: Final = re.compile(
    rf"hf://(?P<repository>{_NAME}/{_NAME})(?:@(?P<commit>[^/]+)(?:/(?P<path>.+))?)?", re.DOTALL
)


def repository(argument: str, environ: Mapping[str, str] = os.environ) -> tuple[Files, str]:
    """Return the files of a commit, and the path that the argument names, if any.

    HF_ENDPOINT sets another hub, HF_TOKEN signs in. Raise UsageError, ObjectRefused or StoreError.
    """
    reference = _REFERENCE.fullmatch(argument)
    if reference is None:
        raise UsageError(f"{argument!r} is no repository; expected hf://ORG/REPO@COMMIT or hf://ORG/REPO@COMMIT/PATH")
    name, commit = reference["repository"], reference["commit"] or ""
    hub = check_https(environ.get("HF_ENDPOINT") or _HUB, "HF_ENDPOINT")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        found = f"names {commit!r}, which can move" if commit else "names no commit"
        raise UsageError(
            f"{argument} {found}; expected the 40 digits of a commit, which "
            f"'git ls-remote {hub}/{name} {commit or 'main'}' prints: hf://{name}@COMMIT"
        )
    token = environ.get("HF_TOKEN")
    client = Client("set HF_TOKEN to a token that may read the repository", Bearer(token) if token else Anonymous())
    place = f"hf://{name}@{commit}"
    document = client.document(f"{hub}/api/models/{name}/revision/{commit}", {"blobs": "true"})
    entries = _entries(document, place, commit)

    def fetch(path: str, file: Path, progress: Progress) -> None:
        client.download(f"{hub}/{name}/resolve/{commit}/{quote(path)}", file, entries[path].size, progress)

    origin = f"{hub}/{name}/tree/{commit}"
    return remote(place, entries, fetch, origin=origin, notes=(f"the model is downloaded from {origin}",)), (
        reference["path"] or ""
    )


def _entries(document: Any, place: str, commit: str) -> dict[str, Entry]:  # noqa: ANN401 - JSON
    """Return the files of a commit: large ones have their SHA-256, others git's name for their content."""
    try:
        if document["sha"] != commit:
            raise StoreError(f"{place}: the hub answered with the commit {document['sha']}; check the commit")
        return {item["rfilename"]: _entry(item) for item in document["siblings"]}
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{place}: the answer has no list of files with sizes; is HF_ENDPOINT a hub?") from None


def _entry(item: Mapping[str, Any]) -> Entry:
    large = item.get("lfs")
    if large:
        return Entry(int(large["size"]), f"sha256:{large['sha256']}")
    return Entry(int(item["size"]), f"sha1:{item['blobId']}")
