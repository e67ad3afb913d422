"""API keys, `<id>.<secret>`, checked against records that contain a secret's SHA-256 and never the secret.

A secret is 256 random bits. It cannot be guessed, so that one SHA-256 is enough: slow hashes protect secrets that
people choose, and would delay every request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

# The id becomes part of a parameter's name, which therefore never has other characters.
KEY = re.compile(r"(?P<id>[0-9a-f]{16})\.(?P<secret>[A-Za-z0-9_-]{43})")

_FIELDS = {"format", "sha256", "label", "created", "expires"}


class KeysUnavailable(Exception):
    """A key cannot be checked, because its record cannot be fetched or read."""


@dataclass(frozen=True, slots=True)
class Record:
    """The stored record of a key: the SHA-256 of its secret, in hex, and the last day (UTC) on which it is valid."""

    sha256: str
    expires: date | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is allowed, with the reason if not. `id` is empty without a well-formed key."""

    allowed: bool
    id: str = ""
    reason: str = ""


Find = Callable[[str], "Record | None"]
"""Returns the record of a key's id, or None if it has none. Raises KeysUnavailable."""


def check(header: str, find: Find, now: float) -> Verdict:
    """Check the value of the header. Raises KeysUnavailable."""
    if not header:
        return Verdict(allowed=False, reason="no key")
    key = KEY.fullmatch(header)
    if key is None:
        return Verdict(allowed=False, reason="malformed key")
    record = find(key["id"])
    if record is None:
        return Verdict(allowed=False, id=key["id"], reason="unknown key")
    if not hmac.compare_digest(hashlib.sha256(key["secret"].encode()).hexdigest(), record.sha256):
        return Verdict(allowed=False, id=key["id"], reason="wrong secret")
    if record.expires is not None and datetime.fromtimestamp(now, UTC).date() > record.expires:
        return Verdict(allowed=False, id=key["id"], reason="expired key")
    return Verdict(allowed=True, id=key["id"])


def read_record(text: str) -> Record:
    """Parse the record in a parameter's value. Raises ValueError.

    An unknown field is an error: it may be a restriction of the key that a newer command wrote.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.keys() - _FIELDS or document.get("format") != 1:
        raise ValueError(f"expected format 1 with the fields {', '.join(sorted(_FIELDS))}")
    sha256, expires = document.get("sha256"), document.get("expires")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError("expected 64 hexadecimal digits in sha256")
    return Record(sha256, None if expires is None else date.fromisoformat(expires))
