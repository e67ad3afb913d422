"""Which bucket a unit is in, and which treatment has the bucket: the same in every process, on every cloud.

SHA-256 of salt, NUL and unit in UTF-8; its first 64 bits, as a big-endian number, scaled to the buckets. SHA-256 is in
every language, and two salts give independent buckets. docs/reference/experiments.md has test vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise

# So that a share is exact to a hundredth of a percent, and a whole number in every language.
BUCKETS = 10_000

Range = tuple[int, int]
"""Buckets from the first number to below the second."""


def bucket(salt: str, unit: str) -> int:
    """Return a unit's bucket, from 0 to BUCKETS - 1."""
    digest = sha256(f"{salt}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") * BUCKETS >> 64


def contains(ranges: Iterable[Range], number: int) -> bool:
    """Whether a bucket is in one of the ranges."""
    return any(first <= number < end for first, end in ranges)


def size(ranges: Iterable[Range]) -> int:
    """Return how many buckets are in ranges that do not overlap."""
    return sum(end - first for first, end in ranges)


def first_overlap(ranges: Sequence[Range]) -> Range | None:
    """Return a range with a bucket that is also in another one, or None."""
    ordered = sorted(ranges)
    return next((after for before, after in pairwise(ordered) if after[0] < before[1]), None)
