"""The sample model of this repository: publishing it as a lock pins it, and a request for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import Lock, load_lock
from pilotlight_cli.project import EVENTS, SAMPLE
from pilotlight_cli.registry.digests import read_file_entry
from pilotlight_cli.registry.publish import upload
from pilotlight_cli.regular_files import file_states
from pilotlight_cli.stores import Store


class NotTheSample(PilotlightError):
    """The lock pins another model than the sample, which only a store of the user's has."""


def pins_sample(lock: Lock, folder: Path = SAMPLE) -> bool:
    """Return whether the files that the lock pins are those of the sample."""
    return all(
        (folder / file.name).is_file() and read_file_entry(folder / file.name) == file for file in lock.model.files
    )


def publish_sample(store: Store, lock: Path, folder: Path = SAMPLE) -> None:
    """Publish the sample to an empty store as the version that a lock pins. Raise NotTheSample."""
    pinned = load_lock(lock)
    model = pinned.model
    if not pins_sample(pinned, folder):
        raise NotTheSample(
            f"the lock pins {model.name}:{model.version}, which is not the sample model of this repository; name the "
            "store that has it with --store URL"
        )
    golden = lock.with_name(model.golden.name)
    if read_file_entry(golden) != model.golden:
        raise NotTheSample(f"{golden} is not the file that {lock.name} pins; run 'pilotlight pin' again")
    upload(
        store,
        model,
        golden.read_bytes(),
        file_states(folder / file.name for file in model.files),
        (model.version,),
        clock=lambda: datetime.now(UTC),
        progress=lambda _: None,
    )


def sample_request(folder: Path = EVENTS) -> tuple[str, Any]:
    """Return path and body of a request that the sample answers."""
    request = json.loads((folder / "sample-request.json").read_bytes())
    return request["path"], request["body"]
