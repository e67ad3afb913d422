"""API keys: `<id>.<secret>`, held against records that tell a key's SHA-256 and never the key.

A secret is 256 random bits. Nobody finds it by trying, so that one SHA-256 is enough: slow hashes make up for secrets
that people think of, and would cost every caller their time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

# The id becomes a part of a parameter's name: nothing but these characters ever does.
KEY = re.compile(r"(?P<id>[0-9a-f]{16})\.(?P<secret>[A-Za-z0-9_-]{43})")

_FIELDS = {"format", "sha256", "label", "created", "expires"}


class KeysUnavailable(Exception):
    """Whether a key is good cannot be told: its record cannot be had, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a key: the SHA-256 of its secret, in hex, and the last day (UTC) on which it works."""

    sha256: str
    expires: date | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a caller may pass. `reason` says why not; `id` is empty where no key of our form came."""

    allowed: bool
    id: str = ""
    reason: str = ""


Find = Callable[[str], "Record | None"]
"""The record of a key's id, or None where there is none. Raises KeysUnavailable."""


def check(header: str, find: Find, now: float) -> Verdict:
    """Judge what came in the header. Raises KeysUnavailable."""
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
    """The record in a parameter's value. Raises ValueError.

    An unknown field is refused: it may be a restriction that a newer command has put on the key.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.keys() - _FIELDS or document.get("format") != 1:
        raise ValueError(f"expected format 1 with the fields {', '.join(sorted(_FIELDS))}")
    sha256, expires = document.get("sha256"), document.get("expires")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError("expected 64 hexadecimal digits in sha256")
    return Record(sha256, None if expires is None else date.fromisoformat(expires))
