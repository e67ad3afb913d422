"""A lock of the sample model, made from its files as `pin` makes it, with requirements for this machine's versions."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pilotlight.experiments.assignment import Range
from pilotlight.experiments.lock import FILE, ExperimentLock, Treatment, control_of, write_experiment
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import Description, Lock, Runtime, load_lock, write_lock
from pilotlight.model.signature import read_signature
from pilotlight_cli.pinning.requirements import CLIENT_LOCK, CORE_PACKAGES, PLATFORM_LOCK, resolve_pins
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.registry.digests import read_file_entry
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.stores import open_store
from repository import SAMPLE

STORE = (SAMPLE / "store").as_uri()


def lock_the_sample(folder: Path) -> Path:
    """Write the files of `pin` to a folder, a project with the sample's store; return the lock."""
    packages = {"onnxruntime": version("onnxruntime")}
    wanted = [f"{name}=={pinned}" for name, pinned in packages.items()]
    requirements = resolve_pins([*wanted, *CORE_PACKAGES], constraints=[PLATFORM_LOCK, CLIENT_LOCK])
    model = Description(
        name="breast-cancer",
        version=1,
        format="onnx",
        files=(read_file_entry(SAMPLE / "model.onnx"),),
        runtime=Runtime("onnx", "onnxruntime-python", packages),
        signature=read_signature(Node(read_json((SAMPLE / "signature.json").read_bytes()))),
        golden=read_file_entry(SAMPLE / "golden.json"),
    )
    (folder / "pilotlight.toml").write_text(f'name = "local"\nclouds = ["aws", "gcp"]\nstore = "{STORE}"\n')
    shutil.copy(SAMPLE / "golden.json", folder)
    (folder / "requirements.lock").write_text(requirements)
    lock = folder / "model.lock"
    lock.write_bytes(to_bytes(write_lock(Lock(model, hashlib.sha256(requirements.encode()).hexdigest()))))
    return lock


def copy_lock(lock: Path, folder: Path) -> Path:
    """Copy a lock and its companions, to be altered."""
    for name in ("model.lock", "golden.json", "requirements.lock"):
        shutil.copy(lock.with_name(name), folder)
    return folder / "model.lock"


def rewrite(lock: Path, **changes: object) -> None:
    """Rewrite a lock with other fields in its model."""
    pinned = load_lock(lock)
    lock.write_bytes(to_bytes(write_lock(replace(pinned, model=replace(pinned.model, **changes)))))  # type: ignore[arg-type]


def write_next(lock: Path, salt: str, buckets: tuple[Range, ...], **terms: Any) -> ExperimentLock:
    """Write an experiment beside a lock, whose treatment is the version after the pinned one."""
    pinned = load_lock(lock).model
    treatment = Treatment(replace(pinned, version=pinned.version + 1), buckets)
    experiment = ExperimentLock(salt, "header:x-user-id", control_of(pinned), (treatment,), **terms)
    lock.with_name(FILE).write_bytes(to_bytes(write_experiment(experiment)))
    return experiment


def fill_store(folder: Path, lock: Path) -> str:
    """Publish the sample to a store in a folder, and return its URL."""
    ensure_published(lock, open_store(folder.as_uri()), STORE)
    return folder.as_uri()
