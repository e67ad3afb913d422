"""A folder of results in a bucket, which many machines write: each its own shards, and whoever is last the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from pilotlight.files.layout import FAILURES, JOB, MANIFEST, PARTS, count, failures_of, part_of, summary_of
from pilotlight.files.shards import Summary
from pilotlight.files.sources import BatchUsageError

# Calls at once when many small objects are read.
CALLS = 16


class Folder(Protocol):
    """The objects below a prefix, by their names there. Every method raises what the store's client does."""

    url: str

    def names(self) -> set[str]:
        """Return the names of what is there."""
        ...

    def read(self, name: str) -> bytes:
        """Return an object. Raise FileNotFoundError."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write an object, in place of one that is there."""
        ...

    def upload(self, name: str, file: Path) -> None:
        """Write a file as an object, in place of one that is there."""
        ...

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        ...


class Output:
    """What `pilotlight batch` makes of a folder. The same shard writes the same objects again."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        """Where it is."""
        return self.folder.url

    def document(self, name: str) -> Any:  # noqa: ANN401 - a document
        """Return a document of JSON, or None if there is none."""
        try:
            return json.loads(self.folder.read(name))
        except FileNotFoundError:
            return None

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document."""
        self.folder.write(name, (json.dumps(document, indent=2) + "\n").encode())

    def begin(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write what the job is, with `job` as `describe_job` makes it; return the manifest of a job that is done.

        Raise BatchUsageError if the folder has results of another job, or other files.
        """
        for _ in range(2):  # another machine may have begun, or ended, the same job after the first look
            begun = self.document(JOB)
            manifest: dict[str, Any] | None = self.document(MANIFEST)
            if begun == document or (begun is None and manifest and manifest.items() >= document["job"].items()):
                return manifest
            if begun is not None or manifest is not None:
                raise BatchUsageError(f"{self.url} has results of another job; name another output, or delete this one")
            names = self.folder.names()
            if not names:
                self.write_json(JOB, document)
                return None
        raise BatchUsageError(f"{self.url} has other files already, like {min(names)}; name another output")

    def commit(self, summary: Summary, format_: str, result: Path, failures: Path) -> dict[str, Any]:
        """Write what came of a shard, its summary last, and return that."""
        self.folder.upload(part_of(summary.index, format_), result)
        if summary.failed:
            self.folder.upload(failures_of(summary.index), failures)
        document = {name: getattr(summary, name) for name in Summary.__slots__}
        self.write_json(summary_of(summary.index), document)
        return document

    def done(self, format_: str) -> list[Summary]:
        """Return the summaries of the shards whose results are there, in their order. Raise FileNotFoundError."""
        names = self.folder.names()
        found = sorted(name for name in names if name.startswith(f"{PARTS}/") and name.count(".") == 1)
        with ThreadPoolExecutor(CALLS) as pool:
            summaries = [Summary(**json.loads(content)) for content in pool.map(self.folder.read, found)]
        return [summary for summary in summaries if part_of(summary.index, format_) in names]

    def join_failures(self, summaries: Sequence[Summary], file: Path) -> None:
        """Join the failures of all shards. `file` is for the time being. Raise FileNotFoundError."""
        names = [failures_of(summary.index) for summary in summaries if summary.failed]
        with file.open("wb") as out, ThreadPoolExecutor(CALLS) as pool:
            for start in range(0, len(names), CALLS):  # so many are in memory
                out.writelines(pool.map(self.folder.read, names[start : start + CALLS]))
        if names:
            self.folder.upload(FAILURES, file)

    def write_manifest(self, job: dict[str, Any], summaries: Sequence[Summary]) -> None:
        """Write the manifest of a job whose shards are done."""
        seconds = round(sum(each.seconds for each in summaries), 3)
        self.write_json(MANIFEST, job | count(summaries, job["settings"]["format"]) | {"seconds": seconds})

    def tidy(self) -> None:
        """Remove what a finished job does not need any more."""
        for name in sorted(name for name in self.folder.names() if name.startswith(f"{PARTS}/")):
            self.folder.delete(name)
        self.folder.delete(JOB)
