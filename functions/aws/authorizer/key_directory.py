"""The records of API keys in SSM's Parameter Store, behind a short cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from api_keys import KeysUnavailable, Record, read_record

RECORD_SECONDS = 60.0  # for which a record is cached
MISS_SECONDS = 5.0  # for which an id without a record is cached
MAX_ENTRIES = 1000  # of each

# Two tries that fit into the gateway's limit of ten seconds for an authorizer.
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})

Read = Callable[[str], "str | None"]
"""Returns the value of a parameter by its name, or None if it does not exist. Raises KeysUnavailable."""

Clock = Callable[[], float]
"""Seconds since 1970."""


def parameter_store() -> Read:
    """Return a function that reads SSM's Parameter Store."""
    client = boto3.client("ssm", config=_CONFIG)

    def read(name: str) -> str | None:
        try:
            return str(client.get_parameter(Name=name)["Parameter"]["Value"])
        except client.exceptions.ParameterNotFound:
            return None
        except (ClientError, BotoCoreError) as error:
            raise KeysUnavailable(f"{name}: {error}") from error

    return read


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record | None
    expiry: float


class Directory:
    """The records below a parameter path, each cached for a short time.

    The clock is the wall clock: monotonic clocks stop while Lambda freezes the process, and an entry could then outlive
    a key's revocation by hours.
    """

    def __init__(self, path: str, read: Read, clock: Clock) -> None:
        self._path = path
        self._read = read
        self._clock = clock
        self._known: dict[str, _Entry] = {}
        self._unknown: dict[str, _Entry] = {}  # separate, so that invented ids cannot evict valid keys

    def find(self, key_id: str) -> Record | None:
        """Return the record of an id, or None if it has none. Raises KeysUnavailable."""
        now = self._clock()
        for cache in (self._known, self._unknown):
            entry = cache.get(key_id)
            if entry is not None and now < entry.expiry:
                return entry.record
            cache.pop(key_id, None)
        record = self._read_record(key_id)
        cache, seconds = (self._unknown, MISS_SECONDS) if record is None else (self._known, RECORD_SECONDS)
        if len(cache) >= MAX_ENTRIES:
            del cache[next(iter(cache))]  # the oldest
        cache[key_id] = _Entry(record, now + seconds)
        return record

    def _read_record(self, key_id: str) -> Record | None:
        name = f"{self._path}/{key_id}"
        text = self._read(name)
        try:
            return None if text is None else read_record(text)
        except (TypeError, ValueError) as error:
            raise KeysUnavailable(f"{name} is not an API key's record: {error}") from error
