"""Models in an OCI registry, as ORAS pushes them: `oci://REGISTRY/REPOSITORY[:TAG|@DIGEST]`, a layer for each file.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import DigestMismatch, ModelError, StoreError
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.archive import unpacked
from pilotlight_cli.sources.client import Client, check_https, limited
from pilotlight_cli.sources.files import Entry, Files, local, remote
from pilotlight_cli.sources.oci_auth import signed_in
from pilotlight_cli.stores import Progress

_REFERENCE: Final = re.compile(
    r"oci://(?P<registry>[^/@]+)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TITLE: Final = "org.opencontainers.image.title"
# How ORAS marks the archive of a folder: the program by an annotation, the Python package by the type alone.
_UNPACK: Final = "io.deis.oras.content.unpack"
_FOLDER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_DIGEST: Final = r"sha256:[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of a manifest: a file by its title; `packed` if it is an archive that ORAS made of a folder."""

    title: str
    entry: Entry
    packed: bool


def artifact(argument: str, environ: Mapping[str, str] = os.environ) -> Files:
    """Return the files of an artifact, of the tag `latest` if the argument has neither tag nor digest.

    Raise UsageError, NotRecognised, ObjectRefused, DigestMismatch or StoreError.
    """
    reference = _REFERENCE.fullmatch(argument)
    if reference is None:
        raise UsageError(
            f"{argument!r} is no artifact; expected oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:..."
        )
    registry, name = reference["registry"], reference["repository"]
    host = registry.rpartition(":")[0] or registry
    scheme = "http" if host in ("localhost", "127.0.0.1") else "https"
    base = f"{check_https(f'{scheme}://{registry}', 'the registry')}/v2/{name}"
    tag = reference["digest"] or reference["tag"] or "latest"
    client = signed_in(base, name, registry, environ)
    content = _manifest(client, f"{base}/manifests/{tag}")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if reference["digest"] and reference["digest"] != digest:
        raise DigestMismatch(f"{argument}: found a manifest with the digest {digest}; the registry altered it")
    place = f"oci://{registry}/{name}@{digest}"
    layers = _layers(content, place)
    notes = () if reference["digest"] else (f"oci://{registry}/{name}:{tag} is {digest}",)

    def fetch(title: str, file: Path, progress: Progress) -> None:
        entry = layers[title].entry
        client.download(f"{base}/blobs/{entry.digest}", file, entry.size, progress)

    entries = {title: layer.entry for title, layer in layers.items()}
    files = remote(place, entries, fetch, origin=place, notes=notes)
    packed = [title for title, layer in layers.items() if layer.packed]
    return _inside(files, packed) if packed else files


def _inside(files: Files, packed: Sequence[str]) -> Files:
    """Return the files of the folder that is an artifact's only layer. Raise NotRecognised if there is more."""
    if len(files.sizes) > 1:
        raise NotRecognised(
            f"{files.place} has the folder {packed[0]} as an archive beside other layers; expected one folder or files"
        )
    found = unpacked(files.get(packed[0]))
    folder = found.get(packed[0])
    inside = local(folder) if folder.is_dir() else found
    return replace(files, sizes=inside.sizes, get=inside.get)


def _manifest(client: Client, url: str) -> bytes:
    """Return a manifest's bytes, whose digest names it."""

    def read() -> bytes:
        with client.open(url, headers={"Accept": ", ".join(_MANIFESTS)}) as response:
            return limited(response, url)

    return client.retried(read)


def _layers(content: bytes, place: str) -> dict[str, _Layer]:
    """Return the layers of a manifest by title. Raise NotRecognised where they are no files."""
    try:
        document: Any = json.loads(content)
        layers = [_layer(item) for item in document.get("layers", [])]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise StoreError(f"{place}: the answer is not a manifest; is the address that of an OCI registry?") from None
    if document.get("manifests"):
        raise NotRecognised(
            f"{place} is an index of {len(document['manifests'])} manifests; give the digest of one: oci://...@sha256:..."
        )
    untitled = [layer for layer in layers if not layer.title]
    if untitled or not layers:
        found = f"{len(untitled)} layers without a file's name ({_TITLE})" if layers else "no layers"
        raise NotRecognised(f"{place} has {found}, expected files as 'oras push' adds them")
    titles = {layer.title: layer for layer in layers}
    if len(titles) != len(layers):
        raise ModelError(f"{place} has two files of one name, expected each name once")
    return titles


def _layer(item: Mapping[str, Any]) -> _Layer:
    """Read a layer. Raise ValueError for another kind of digest."""
    notes = item.get("annotations") or {}
    if not re.fullmatch(_DIGEST, item["digest"]):
        raise ValueError(item["digest"])
    packed = notes.get(_UNPACK) == "true" or item.get("mediaType") == _FOLDER
    return _Layer(str(notes.get(_TITLE, "")), Entry(int(item["size"]), item["digest"]), packed)
