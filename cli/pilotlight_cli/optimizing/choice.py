"""Which candidate to keep, from nothing but the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from pilotlight_cli.optimizing.candidates import Candidate
from pilotlight_cli.optimizing.measuring import Measured, Outcome

# A gain of less, as a share or in all, is not worth another file than the one that was trained.
_LEAST_SHARE: Final = 0.05
_LEAST_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """The middle, and the lower and the upper end of the middle half, of the ratios of all rounds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate's medians, what these make of all requests, and that in ratio to the original's, round by round.

    `gains` where it gives the original's answers, and sooner than chance would have it.
    """

    candidate: Candidate
    measured: Measured
    total_ms: float
    ratio: Ratio
    gains: bool


def total_ms(measured: Measured, requests: int) -> float:
    """What an instance takes to load and to answer so many requests, one after the other."""
    return measured.load_ms + measured.first_ms + (requests - 1) * measured.warm_ms


def stand(outcomes: Sequence[Outcome], requests: int) -> tuple[Standing, ...]:
    """How those stand that could be measured; the first is the original."""
    original = [total_ms(each, requests) for each in outcomes[0].rounds]
    least = total_ms(_typical(outcomes[0].rounds), requests) - _LEAST_MS

    def standing(outcome: Outcome) -> Standing:
        measured = _typical(outcome.rounds)
        total = total_ms(measured, requests)
        ratio = _ratio([total_ms(each, requests) / base for each, base in zip(outcome.rounds, original, strict=True)])
        real = ratio.median <= 1 - _LEAST_SHARE and ratio.high < 1 and total <= least
        return Standing(outcome.candidate, measured, total, ratio, gains=measured.agrees and real)

    return tuple(standing(outcome) for outcome in outcomes if outcome.rounds)


def choose(standings: Sequence[Standing]) -> Standing:
    """The quickest of those with a gain; the original, which stands first, where there is none."""
    gains = [standing for standing in standings if standing.gains]
    return min(gains, key=lambda standing: standing.total_ms, default=standings[0])


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of requests of an instance at which another is level with the one that is kept."""

    requests: float
    other: Standing


def limits(kept: Standing, standings: Sequence[Standing]) -> tuple[Limit | None, Limit | None]:
    """Below how many requests another is ahead, which answers first, and from how many on, which answers faster."""
    others = [each for each in standings if each.measured.agrees and each is not kept]
    quick = [_limit(each, each, kept) for each in others if total_ms(each.measured, 1) < total_ms(kept.measured, 1)]
    steady = [_limit(each, kept, each) for each in others if each.measured.warm_ms < kept.measured.warm_ms]
    return (
        max(filter(None, quick), key=lambda limit: limit.requests, default=None),
        min(filter(None, steady), key=lambda limit: limit.requests, default=None),
    )


def _limit(other: Standing, quick: Standing, steady: Standing) -> Limit | None:
    """Where `steady`, whose runs are shorter, draws level; None where that, or the head start, is next to nothing."""
    head_start = total_ms(steady.measured, 1) - total_ms(quick.measured, 1)
    slower = quick.measured.warm_ms - steady.measured.warm_ms
    if head_start < _LEAST_MS or slower < _LEAST_SHARE * quick.measured.warm_ms:
        return None
    return Limit(1 + head_start / slower, other)


def _typical(rounds: Sequence[Measured]) -> Measured:
    apart = [each.largest for each in rounds if each.largest is not None]
    return Measured(
        load_ms=median(each.load_ms for each in rounds),
        first_ms=median(each.first_ms for each in rounds),
        warm_ms=median(each.warm_ms for each in rounds),
        peak_bytes=int(median(each.peak_bytes for each in rounds)),
        largest=max(apart) if len(apart) == len(rounds) else None,
        agrees=all(each.agrees for each in rounds),
    )


def _ratio(ratios: list[float]) -> Ratio:
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)
