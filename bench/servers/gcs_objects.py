"""Objects as Cloud Storage keeps them: under generations, written on conditions."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import google_crc32c


@dataclass(frozen=True)
class StoredObject:
    """An object in one of its generations."""

    bucket: str
    name: str
    generation: int
    content: bytes
    metadata: Mapping[str, str]

    def resource(self) -> dict[str, Any]:
        """Return the object's JSON form; 64-bit numbers are strings there, and a generation is a time."""
        return {
            "bucket": self.bucket,
            "name": self.name,
            "generation": str(self.generation),
            "metageneration": "1",
            "updated": datetime.fromtimestamp(self.generation / 1e6, UTC).isoformat().replace("+00:00", "Z"),
            "size": str(len(self.content)),
            "crc32c": crc32c(self.content),
            "metadata": self.metadata,
        }


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Buckets:
    """`query` is what a request says behind its question mark: generation, ifGenerationMatch."""

    def __init__(self, *names: str) -> None:
        self._buckets: dict[str, dict[str, StoredObject]] = {name: {} for name in names}
        self._generation = 1_700_000_000_000_000
        self._lock = threading.Lock()

    def objects(self, bucket: str) -> dict[str, StoredObject]:
        """Return the objects of a bucket by their names."""
        if bucket not in self._buckets:
            raise Refused(404, "The specified bucket does not exist.")
        return self._buckets[bucket]

    def find(self, bucket: str, name: str, query: Mapping[str, str]) -> StoredObject:
        """Return an object; a generation that was replaced is gone."""
        found = self.objects(bucket).get(name)
        if found is None or int(query.get("generation", found.generation)) != found.generation:
            raise Refused(404, f"No such object: {bucket}/{name}")
        self.check(bucket, name, query)
        return found

    def check(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Check the precondition. Generation 0 means that no object exists."""
        found = self.objects(bucket).get(name)
        generation = found.generation if found else 0
        if int(query.get("ifGenerationMatch", generation)) != generation:
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")

    def write(self, bucket: str, resource: dict[str, Any], content: bytes, query: Mapping[str, str]) -> StoredObject:
        """Decide and write in one step."""
        if resource.get("crc32c", crc32c(content)) != crc32c(content):
            raise Refused(400, f"Provided CRC32C {resource['crc32c']!r} doesn't match the content.")
        name = resource["name"]
        with self._lock:
            self.check(bucket, name, query)
            self._generation += 1
            written = StoredObject(bucket, name, self._generation, content, resource.get("metadata", {}))
            self._buckets[bucket][name] = written
            return written

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Remove an object, under the conditions of the query."""
        with self._lock:
            self.find(bucket, name, query)
            del self._buckets[bucket][name]


def crc32c(content: bytes) -> str:
    """Return the checksum as Cloud Storage writes it."""
    return b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
