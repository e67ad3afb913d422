"""The model of a lock in any Python process: fetched once, verified, then served from this disk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.boot import model_folder, open_store
from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.dataplane import DataPlane
from pilotlight.errors import StoreUnavailable
from pilotlight.fetch import ObjectStore
from pilotlight.fetch.web import WebStore
from pilotlight.model.lock import Description, load_lock
from pilotlight.protocols.predict import batch_document, instance_documents
from pilotlight.start.loading import Loader, Plan
from pilotlight.start.machine import here
from pilotlight.telemetry import ColdStart, Record

_STORES = {"https": WebStore, "http": WebStore}


class Predictor:
    """A loaded model. Threads may call it at the same time."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    @property
    def model(self) -> Description:
        """What the lock says of the model: name, version, files, signature."""
        return self._plane.model

    def predict(self, features: object) -> dict[str, Any]:
        """Return what /predict answers for one instance: a list of features, or a dict by their names.

        Arrays are taken as their lists. Raise InvalidRequest, whose `path` is the place, and what the model's
        library raises.
        """
        inputs = read_instance(self.model.signature, _plain(features), "$")
        (document,) = instance_documents(self.model, self._plane.run(inputs, 1))
        return document

    def predict_batch(self, instances: object) -> dict[str, Any]:
        """Return what /predict_batch answers for a list of instances, each as for `predict`. Raise as it does."""
        inputs = read_instances(self.model.signature, _plain(instances), "$")
        return batch_document(self.model, self._plane.run(inputs, inputs[0].shape[0]))


def load(
    lock: str | os.PathLike[str],
    *,
    store: str | ObjectStore,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 1,
    timeout: float = 120.0,
) -> Predictor:
    """Load the model that `lock` pins.

    `store` is a URL, file://, https:// or http://, or an object that fetches as `pilotlight.fetch.ObjectStore` says. It
    is asked only for files that `cache` lacks, by default `pilotlight/models` in the user's cache folder; those that
    are there are verified too. One prediction uses `threads` threads. `timeout` is for the fetch, in seconds.

    Raise FormatError for the lock, SettingsError for the store's URL, StoreUnavailable, ObjectRefused, DigestMismatch,
    RuntimeMismatch if the installed libraries are not those of the lock, and ModelError.
    """
    folder = _cache(os.environ) if cache is None else Path(cache)
    source = open_store(store, _STORES) if isinstance(store, str) else store
    return Predictor(open_plane(Path(lock), source, folder, threads=threads, timeout=timeout))


def open_plane(lock: Path, store: ObjectStore, folder: Path, *, threads: int = 1, timeout: float = 600.0) -> DataPlane:
    """Return the data plane of a lock's model, with its files in a folder of their own in `folder`. Raise as `load`."""
    model = load_lock(lock).model
    plan = Plan(
        model=model,
        store=store,
        folder=model_folder(model, folder),
        threads=threads,
        clock=time.monotonic,
        sleep=time.sleep,
        machine=here(),
    )
    records = list[Record]()
    loader = Loader(plan, records.append, {}, time.monotonic())
    loader.start(timeout)
    if loader.state != "ready":
        reason = next((each.error for each in records if isinstance(each, ColdStart)), "")
        raise StoreUnavailable(
            f"{model.name}:{model.version} is not in {plan.folder}, and could not be fetched within {timeout:g} s"
            + (f": {reason}" if reason else "")
        )
    return DataPlane(model, loader, clock=time.monotonic, golden=lock.with_name(model.golden.name))


def _cache(environ: Mapping[str, str]) -> Path:
    """Return the folder of models in the user's cache: https://specifications.freedesktop.org/basedir-spec/."""
    root = environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if root else Path.home() / ".cache") / "pilotlight" / "models"


def _plain(values: object) -> object:
    """Return an array, or a list of arrays, as lists."""
    if isinstance(values, list):
        return [_plain(value) for value in values] if any(hasattr(value, "tolist") for value in values) else values
    return values.tolist() if hasattr(values, "tolist") else values
