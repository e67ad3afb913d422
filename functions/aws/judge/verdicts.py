"""What the counts of two versions say of a release: promote, roll back, or hold. Silence never promotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite

from pilotlight.judging.shares import LEVEL, Split, evidence

# So many requests of each version are enough to promote.
ENOUGH = 100

# A version that is slower has at least this share of slow requests, and so many: a few are those of new instances.
_SLOW_SHARE = 0.1
_SLOW_REQUESTS = 20

# Minutes until the metrics of log lines are complete, and how long they may be missing at the start of a release.
_LATE_MINUTES = 2
_MISSING_MINUTES = 6


class Outcome(Enum):
    """What is to happen with a release."""

    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, and the reason as a sentence."""

    outcome: Outcome
    sentence: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What CloudWatch counted of one version in a minute.

    `invocations` and `failures` are Lambda's own, the others come from the lines of the function. `slow` is None where
    nothing says what is slow.
    """

    requests: float = 0
    client_errors: float = 0
    server_errors: float = 0
    slow: float | None = None
    invocations: float = 0
    failures: float = 0

    @property
    def silent(self) -> float:
        """The invocations that neither failed nor left a line of a request."""
        return max(self.invocations - self.failures - self.requests, 0)


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute in which the traffic was shared. `at` is its name in sentences."""

    at: str
    old: Counts
    new: Counts


Count = Callable[[Counts], float]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What may be wrong with some of all requests, or invocations."""

    text: str
    count: Count
    of: Count


_KINDS = (
    _Kind("got 4xx", lambda counts: counts.client_errors, lambda counts: counts.requests),
    _Kind("got 5xx", lambda counts: counts.server_errors, lambda counts: counts.requests),
    _Kind("failed without an answer", lambda counts: counts.failures, lambda counts: counts.invocations),
    _Kind("were slow", lambda counts: counts.slow or 0, lambda counts: counts.requests),
)
_SLOW = _KINDS[-1]
_SILENT = _Kind("left no line in the log", lambda counts: counts.silent, lambda counts: counts.invocations)
_TESTS = len(_KINDS) + 1


def decide(old: str, new: str, minutes: Sequence[Minute], ringing: Sequence[str]) -> Verdict:
    """Return the verdict on version `new`. `minutes` are oldest first, `ringing` the alarms of version `old`."""
    for minute in minutes:
        for problem in (*_broken(minute.old, old), *_broken(minute.new, new)):
            return Verdict(Outcome.HOLD, f"{problem} at {minute.at}; with such a count there is no comparison")
    for kind in _KINDS:
        if worse := _worse(kind, minutes, old, new):
            return Verdict(Outcome.ROLL_BACK, worse)
    if silent := _worse(_SILENT, minutes[:-_LATE_MINUTES], old, new):
        waited = len(minutes) >= _MISSING_MINUTES
        return Verdict(
            Outcome.ROLL_BACK if waited else Outcome.HOLD, f"{silent}; what leaves no line cannot be compared"
        )
    if ringing:
        return Verdict(
            Outcome.HOLD,
            f"{', '.join(ringing)} of version {old} rings: there is no good version to compare version {new} with",
        )
    return _of_enough(old, new, minutes)


def _of_enough(old: str, new: str, minutes: Sequence[Minute]) -> Verdict:
    requests = {new: _total(minutes, True, _SLOW.of), old: _total(minutes, False, _SLOW.of)}
    seen = f"{requests[new]:.0f} requests of version {new} beside {requests[old]:.0f} of version {old}"
    if min(requests.values()) < ENOUGH:
        return Verdict(Outcome.HOLD, f"{seen}; a comparison needs {ENOUGH} of each")
    slow = "" if any(minute.new.slow is not None for minute in minutes) else ", latency not compared"
    return Verdict(Outcome.PROMOTE, f"{seen}, none of its errors beyond its share{slow}")


def _worse(kind: _Kind, minutes: Sequence[Minute], old: str, new: str) -> str:
    """Return why the new version is worse in one respect, or ""."""
    shared = [minute for minute in minutes if kind.of(minute.new) > 0 and kind.of(minute.old) > 0]
    found = evidence(_splits(kind, shared))
    if found < _TESTS / LEVEL:
        return ""
    bad, all_new = _total(shared, True, kind.count), _total(shared, True, kind.of)
    if kind is _SLOW and (bad < _SLOW_REQUESTS or bad < _SLOW_SHARE * all_new):
        return ""
    beside, all_old = _total(shared, False, kind.count), _total(shared, False, kind.of)
    return (
        f"{bad:.0f} of {all_new:.0f} requests of version {new} {kind.text}, beside {beside:.0f} of {all_old:.0f} of "
        f"version {old}; at equal quality that is {found:.3g} times less likely"
    )


def _splits(kind: _Kind, minutes: Sequence[Minute]) -> Iterator[Split]:
    """Yield the minutes, with the new version's share of the requests as it was."""
    for minute in minutes:
        new, old = kind.of(minute.new), kind.of(minute.old)
        yield Split(kind.count(minute.new), kind.count(minute.old), new / (new + old))


def _broken(counts: Counts, version: str) -> Iterator[str]:
    """Yield what of the counts can be no count: a part is a number from 0 to the whole."""
    for kind in _KINDS:
        part, whole = kind.count(counts), kind.of(counts)
        if not (isfinite(part) and isfinite(whole) and 0 <= part <= whole):
            yield f"CloudWatch says that {part:g} of {whole:g} requests of version {version} {kind.text}"


def _total(minutes: Sequence[Minute], is_new: bool, count: Count) -> float:
    return sum(count(minute.new if is_new else minute.old) for minute in minutes)
