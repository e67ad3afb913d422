"""The folder of results: parts that are there as a whole or not at all, and one runner at a time.

`part-00000.parquet` and so on are the results. What is not data begins with _, which readers of such folders leave out:
`_manifest.json` and `_failures.jsonl` at the end, and meanwhile `_job.json`, `_owner.json` and the summaries of the
committed parts in `_parts/`.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pilotlight.errors import ObjectRefused
from pilotlight.files.layout import FAILURES, JOB, MANIFEST, PARTS, failures_of, part_of, summary_of
from pilotlight.files.shards import Summary
from pilotlight_cli.batching import BatchFailed
from pilotlight_cli.stores import AlreadyExists, Store, open_store

OWNER = "_owner.json"

# After how long an owner on another machine, which says every minute that it lives, counts as dead.
SILENCE = timedelta(minutes=15)
SIGN_OF_LIFE = 60.0  # seconds


def output_store(output: str) -> Store:
    """Return the store at a URL or a local path."""
    return open_store(output if "://" in output else Path(output).resolve().as_uri())


class Output:
    """A folder of results that this process owns until it is closed."""

    def __init__(self, store: Store, format_: str) -> None:
        self._store = store
        self._format = format_
        self._token = secrets.token_hex(8)

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest of a finished job, or None."""
        return self._read(MANIFEST)

    def claim(self, job: Mapping[str, Any]) -> None:
        """Become the owner, for the job that this describes.

        Raise BatchFailed if another process is it, or if the folder has another job's parts or other files.
        """
        if self._read(JOB) is None and (found := next(iter(self._store.keys("")), None)) not in (None, OWNER):
            raise BatchFailed(f"{self._store.url} has other files already, like {found}; name another output")
        self._own()
        try:
            self.check_same(self._begun(job), job)
        except BaseException:
            self.release()
            raise

    def check_same(self, found: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        """Raise BatchFailed if the output has the results of another job."""
        other = [name for name in job if found.get(name) != job[name]]
        if other:
            raise BatchFailed(
                f"{self._store.url} has results of a job with another {' and another '.join(other)}; name another "
                "output, or delete this one"
            )

    def committed(self) -> dict[int, Summary]:
        """Return the summaries of the parts that are there."""
        keys = set(self._store.keys(""))
        found = [
            Summary(**json.loads(self._store.read(key)))
            for key in sorted(keys)
            if key.startswith(f"{PARTS}/") and key.endswith(".json")
        ]
        return {summary.index: summary for summary in found if part_of(summary.index, self._format) in keys}

    def commit(self, summary: Summary, result: Path, failures: Path) -> None:
        """Add a part. Its summary comes last: without it the part is made again. Raise BatchFailed if disowned."""
        self.check_owner()
        self._put(part_of(summary.index, self._format), result)
        if summary.failed:
            self._put(failures_of(summary.index), failures)
        self._store.replace(summary_of(summary.index), _to_json(_fields(summary)))

    def finish(self, summaries: Sequence[Summary], manifest: Mapping[str, Any], folder: Path) -> None:
        """Join the failures, write the manifest, and remove what is no result. `folder` is for a temporary file."""
        self.check_owner()
        joined = folder / FAILURES
        with joined.open("wb") as out:
            for summary in summaries:
                if summary.failed:
                    out.write(self._store.read(failures_of(summary.index)))
        if joined.stat().st_size:
            self._put(FAILURES, joined)
        self._store.replace(MANIFEST, _to_json(manifest))
        self.tidy()

    def tidy(self) -> None:
        """Remove what a finished job does not need any more."""
        for key in [key for key in self._store.keys("") if key.startswith(f"{PARTS}/")]:
            self._store.delete(key)
        self._store.delete(JOB)

    def release(self) -> None:
        """Stop being the owner, if this process still is."""
        with suppress(ObjectRefused):
            if (self._read(OWNER) or {}).get("token") == self._token:
                self._store.delete(OWNER)

    def live(self) -> None:
        """Say that the owner lives. Raise BatchFailed if it is another process by now."""
        self.check_owner()
        self._store.replace(OWNER, self._owner())

    def check_owner(self) -> None:
        """Raise BatchFailed if another process took the output over."""
        owner = self._read(OWNER) or {}
        if owner.get("token") != self._token:
            raise BatchFailed(f"{self._store.url} was taken over by {_name(owner)}; this run stops")

    def _begun(self, job: Mapping[str, Any]) -> dict[str, Any]:
        found = self._read(JOB)
        if found is None:
            self._store.replace(JOB, _to_json(job))
        return found or dict(job)

    def _own(self) -> None:
        try:
            self._store.create(OWNER, self._owner())
            return
        except AlreadyExists:
            owner = self._read(OWNER)
        if owner is not None and not self._is_gone(owner):
            raise BatchFailed(
                f"{self._store.url} is being written by {_name(owner)} since {owner.get('started')}; wait until it "
                f"ends, or delete {OWNER} if it does not run any more"
            )
        self._store.delete(OWNER)
        try:
            self._store.create(OWNER, self._owner())
        except AlreadyExists:
            raise BatchFailed(f"{self._store.url} was taken over by {_name(self._read(OWNER) or {})}") from None

    def _is_gone(self, owner: Mapping[str, Any]) -> bool:
        if owner.get("host") == socket.gethostname():
            return not _is_running(int(owner.get("pid", 0)))
        return datetime.now(UTC) - self._store.modified(OWNER) > SILENCE

    def _owner(self) -> bytes:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return _to_json({"host": socket.gethostname(), "pid": os.getpid(), "started": started, "token": self._token})

    def _put(self, key: str, file: Path) -> None:
        try:
            self._store.create_from(key, file, lambda _: None)
        except AlreadyExists:  # of a run that was killed before its summary
            self._store.delete(key)
            self._store.create_from(key, file, lambda _: None)

    def _read(self, key: str) -> dict[str, Any] | None:
        """Return a small document, or None if there is none. Raise BatchFailed for one that is not ours."""
        try:
            document = json.loads(self._store.read(key))
        except ObjectRefused:
            return None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise BatchFailed(f"{self._store.url}/{key} is no document of 'pilotlight batch'; name another output")
        return document


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _name(owner: Mapping[str, Any]) -> str:
    return f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"


def _fields(summary: Summary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in Summary.__slots__}


def _to_json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
