"""The records of API keys in SSM's Parameter Store, and a short memory of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from api_keys import KeysUnavailable, Record, read_record

REMEMBERED = 60.0  # seconds for which a record is not asked for again
MISSED = 5.0  # seconds for which an id without a record is not
MOST = 1000  # of each are remembered

# Two tries that fit into the ten seconds that the gateway gives an authorizer.
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})

Read = Callable[[str], "str | None"]
"""The value of a parameter by its name, or None where there is none. Raises KeysUnavailable."""

Clock = Callable[[], float]
"""Seconds since 1970."""


def parameter_store() -> Read:
    """What reads SSM's Parameter Store."""
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
class _Held:
    record: Record | None
    until: float


class Directory:
    """The records below a parameter path, each remembered for a short time.

    The clock is the one on the wall: the others stand still while Lambda freezes the process, and what is remembered
    would then outlive a revocation by hours.
    """

    def __init__(self, path: str, read: Read, clock: Clock) -> None:
        self._path = path
        self._read = read
        self._clock = clock
        self._known: dict[str, _Held] = {}
        self._unknown: dict[str, _Held] = {}  # apart from the others, so that made-up ids push no good key out

    def find(self, key_id: str) -> Record | None:
        """The record of an id, or None where there is none. Raises KeysUnavailable."""
        now = self._clock()
        for memory in (self._known, self._unknown):
            held = memory.get(key_id)
            if held is not None and now < held.until:
                return held.record
            memory.pop(key_id, None)
        record = self._ask(key_id)
        memory, seconds = (self._unknown, MISSED) if record is None else (self._known, REMEMBERED)
        if len(memory) >= MOST:
            del memory[next(iter(memory))]  # the oldest
        memory[key_id] = _Held(record, now + seconds)
        return record

    def _ask(self, key_id: str) -> Record | None:
        name = f"{self._path}/{key_id}"
        text = self._read(name)
        try:
            return None if text is None else read_record(text)
        except (TypeError, ValueError) as error:
            raise KeysUnavailable(f"{name} is no API key's record: {error}") from error
