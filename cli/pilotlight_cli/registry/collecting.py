"""`pilotlight gc`: the versions of a model that nothing references, and what interrupted publishers left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotlight.errors import StoreError
from pilotlight_cli.registry.versions import MANIFEST, Unreadable, aliases, unfinished, versions
from pilotlight_cli.stores import Store

# A publisher that is still at work has written something more recently.
_LONGEST_UPLOAD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A version to delete. `size` is that of its model files, 0 if unknown; an unfinished one has no manifest."""

    name: str
    version: int
    keys: tuple[str, ...]
    size: int = 0
    is_unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that stays, and why."""

    name: str
    version: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """What to delete, and what stays."""

    garbage: tuple[Garbage, ...]
    kept: tuple[Kept, ...]


def find_garbage(
    store: Store, name: str, references: Mapping[int, tuple[str, ...]], *, keep: int, now: datetime
) -> Collection:
    """Find what can go of a model: all but the `keep` newest versions, those behind an alias, and `references`.

    `references` has the reasons by the number of a version. Raise StoreError for an alias that cannot be read, because
    it may be of any version.
    """
    published = versions(store, name)
    pending = unfinished(store, name)
    old = {
        version: keys
        for version, keys in pending.items()
        if now - max(store.modified(key) for key in keys) > _LONGEST_UPLOAD
    }
    known = aliases(store, name)  # the last, so that one that was set meanwhile counts
    if known.problems:
        raise StoreError(f"{known.problems[0]}; nothing of {name!r} was deleted")
    garbage, kept = [], []
    for index, manifest in enumerate(published):
        number = manifest.version if isinstance(manifest, Unreadable) else manifest.model.version
        reasons = [
            *(["newest"] if index >= len(published) - keep else []),
            *(f"@{alias}" for alias, version in known.versions.items() if version == number),
            *references.get(number, ()),
        ]
        if reasons:
            kept.append(Kept(name, number, tuple(reasons)))
            continue
        size = 0 if isinstance(manifest, Unreadable) else sum(file.size for file in manifest.model.files)
        garbage.append(Garbage(name, number, tuple(store.keys(f"{name}/{number}")), size))
    garbage += [Garbage(name, version, keys, is_unfinished=True) for version, keys in old.items()]
    kept += [Kept(name, version, ("being published",)) for version in pending if version not in old]
    return Collection(tuple(garbage), tuple(kept))


def delete(store: Store, garbage: Garbage, say: Callable[[str], None]) -> None:
    """Delete a version. Its manifest goes first: a version that is deleted in part must not exist."""
    say(f"deleting {garbage.name}:{garbage.version}")
    for key in sorted(garbage.keys, key=lambda key: not key.endswith(f"/{MANIFEST}")):
        store.delete(key)
