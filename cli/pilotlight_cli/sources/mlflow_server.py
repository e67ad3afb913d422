"""Registered models of an MLflow server, through its REST API: `models:/NAME/VERSION`, `models:/NAME@ALIAS`.

https://mlflow.org/docs/latest/api_reference/rest-api.html. The files come from the server, if it serves artifacts, or
from the bucket that it names. Since MLflow 3 a version's `source` is the id of a logged model, not a place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from requests.auth import AuthBase, HTTPBasicAuth

from pilotlight.errors import ModelError, ObjectRefused, StoreError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.client import Anonymous, Bearer, Client
from pilotlight_cli.sources.files import MOST_FILES, Entry, Files, bucket, remote
from pilotlight_cli.stores import Progress

_REFERENCE: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[1-9][0-9]{0,9})|@(?P<alias>[^/@]+))")
_URI: Final = "MLFLOW_TRACKING_URI"
_SIGN_IN: Final = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
_ARTIFACTS: Final = "mlflow-artifacts"


def registered(argument: str, environ: Mapping[str, str] = os.environ) -> Files:
    """Return the files of a registered model's version. Raise UsageError, ObjectRefused or StoreError."""
    reference = _REFERENCE.fullmatch(argument)
    if reference is None:
        raise UsageError(
            f"{argument!r} is no version of a registered model; expected models:/NAME/VERSION or models:/NAME@ALIAS, "
            "like models:/churn/3 or models:/churn@champion"
        )
    server, auth = _server(environ)
    client = Client(_SIGN_IN, auth)
    name, version, notes = reference["name"], reference["version"], tuple[str, ...]()
    if reference["alias"]:
        asked = {"name": name, "alias": reference["alias"]}
        found = client.document(f"{server}/api/2.0/mlflow/registered-models/alias", asked)
        version = _text(found, argument, "model_version", "version")
        notes = (f"{argument} is version {version}",)
    asked = {"name": name, "version": version}
    uri = _text(
        client.document(f"{server}/api/2.0/mlflow/model-versions/get-download-uri", asked), argument, "artifact_uri"
    )
    place = f"models:/{name}/{version}"
    return _files(client, server, place, uri, (*notes, f"{place} is downloaded from {server}, where it is {uri}"))


def _server(environ: Mapping[str, str]) -> tuple[str, AuthBase]:
    """Return the server's URL without credentials, and the credentials. Raise UsageError."""
    uri = environ.get(_URI, "")
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found = f"is {uri!r}" if uri else "is not set"
        raise UsageError(f"{_URI} {found}; expected the address of an MLflow server, like https://mlflow.example.com")
    server = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    user = environ.get("MLFLOW_TRACKING_USERNAME") or parts.username
    if user:
        return server, HTTPBasicAuth(user, environ.get("MLFLOW_TRACKING_PASSWORD") or parts.password or "")
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return server, Bearer(token) if token else Anonymous()


def _files(client: Client, server: str, place: str, uri: str, notes: tuple[str, ...]) -> Files:
    """Return the files below the URI that a server names. Raise ModelError for a place that cannot be read."""
    origin = f"{server}#{place}"
    parts = urlsplit(uri)
    if parts.scheme in ("s3", "gs"):
        return bucket(place, uri, origin=origin, notes=notes)
    if parts.scheme != _ARTIFACTS or (parts.netloc and parts.netloc != urlsplit(server).netloc):
        raise ModelError(
            f"{place} is kept in {uri}; expected files that {server} serves, or s3:// or gs://. Download the model "
            "with MLflow and publish its folder"
        )
    root = parts.path.strip("/")
    artifacts = f"{server}/api/2.0/mlflow-artifacts/artifacts"
    entries = _entries(client, artifacts, root, place)

    def fetch(name: str, file: Path, progress: Progress) -> None:
        client.download(f"{artifacts}/{quote(f'{root}/{name}')}", file, entries[name].size, progress)

    return remote(place, entries, fetch, origin=origin, notes=notes)


def _entries(client: Client, artifacts: str, root: str, place: str) -> dict[str, Entry]:
    """List the files of a folder and of those in it."""
    entries: dict[str, Entry] = {}
    folders = [""]
    for folder in folders:
        document = client.document(artifacts, {"path": f"{root}/{folder}".rstrip("/")})
        listed = document.get("files", []) if isinstance(document, dict) else []
        for item in listed:
            name = f"{folder}/{_text(item, place, 'path')}".lstrip("/")
            if item.get("is_dir"):
                folders.append(name)
            else:
                entries[name] = Entry(int(item.get("file_size") or 0))
        if len(entries) + len(folders) > MOST_FILES:
            raise ModelError(f"{place} has more than {MOST_FILES:,} files, expected the folder of one model")
    if not entries:
        raise ObjectRefused(f"{place} has no files on its server; log the model again")
    return entries


def _text(document: Any, about: str, *path: str) -> str:  # noqa: ANN401 - JSON
    """Return a text in a document. Raise StoreError if the server sends something else."""
    value = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise StoreError(f"{about}: the server's answer has no {'.'.join(path)}; is it an MLflow server?")
    return value
