"""Shares of an A/B test as buckets: a share that grows takes buckets of the control, and moves nobody else."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.errors import PilotlightError
from pilotlight.experiments.assignment import BUCKETS, Range, size


class NoShare(PilotlightError):
    """The other treatments leave fewer buckets than a share needs."""


def resized(own: Sequence[Range], others: Sequence[Range], count: int) -> tuple[Range, ...]:
    """Return `count` buckets for a treatment that has `own`, beside the treatments that have `others`.

    It keeps what it has, and takes the lowest buckets that are free; a share that shrinks gives its last ones back.
    Raise NoShare.
    """
    kept: list[Range] = []
    for first, end in own:
        room = count - size(kept)
        if room:
            kept.append((first, min(end, first + room)))
    taken = sorted([*others, *kept])
    start = 0
    for first, end in [*taken, (BUCKETS, BUCKETS)]:
        room = count - size(kept)
        if room and start < first:
            kept.append((start, min(first, start + room)))
        start = end
    if size(kept) < count:
        left = BUCKETS - size(others)
        raise NoShare(f"found {percent(left)} % that no other treatment has, expected {percent(count)} %")
    return _joined(kept)


def percent(buckets: int) -> str:
    """Return a number of buckets in percent."""
    return f"{buckets * 100 / BUCKETS:g}"


def _joined(ranges: Sequence[Range]) -> tuple[Range, ...]:
    joined: list[Range] = []
    for first, end in sorted(ranges):
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return tuple(joined)
