"""Which candidate to keep: pure functions of the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from pilotlight_cli.optimizing.candidates import Candidate
from pilotlight_cli.optimizing.measuring import Measurement, Outcome

# A smaller gain, relative or absolute, is not worth a file other than the trained one.
_LEAST_SHARE: Final = 0.05
_LEAST_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median and the quartiles of the ratios of all rounds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A candidate's median measurements, its total time for all requests, and its ratio to the original's.

    `gains` says that its outputs agree with the original's and that it is faster than chance explains.
    """

    candidate: Candidate
    measured: Measurement
    total_ms: float
    ratio: Ratio
    gains: bool


def total_ms(measured: Measurement, requests: int) -> float:
    """Return the milliseconds to load and to serve so many requests in sequence."""
    return measured.load_ms + measured.first_ms + (requests - 1) * measured.warm_ms


def evaluate(outcomes: Sequence[Outcome], requests: int) -> tuple[Evaluation, ...]:
    """Evaluate the candidates that could be measured; the first is the original."""
    original = [total_ms(each, requests) for each in outcomes[0].rounds]
    least = total_ms(_typical(outcomes[0].rounds), requests) - _LEAST_MS

    def evaluation(outcome: Outcome) -> Evaluation:
        measured = _typical(outcome.rounds)
        total = total_ms(measured, requests)
        ratio = _ratio([total_ms(each, requests) / base for each, base in zip(outcome.rounds, original, strict=True)])
        real = ratio.median <= 1 - _LEAST_SHARE and ratio.high < 1 and total <= least
        return Evaluation(outcome.candidate, measured, total, ratio, gains=measured.agrees and real)

    return tuple(evaluation(outcome) for outcome in outcomes if outcome.rounds)


def choose(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the fastest evaluation with a gain, or the original, which is the first."""
    gains = [evaluation for evaluation in evaluations if evaluation.gains]
    return min(gains, key=lambda evaluation: evaluation.total_ms, default=evaluations[0])


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The number of requests per instance at which another candidate is as fast as the kept one."""

    requests: float
    other: Evaluation


def break_evens(kept: Evaluation, evaluations: Sequence[Evaluation]) -> tuple[BreakEven | None, BreakEven | None]:
    """Return below and from how many requests another candidate is faster: by its load, or by its runs."""
    others = [each for each in evaluations if each.measured.agrees and each is not kept]
    quick = [
        _break_even(each, each, kept) for each in others if total_ms(each.measured, 1) < total_ms(kept.measured, 1)
    ]
    steady = [_break_even(each, kept, each) for each in others if each.measured.warm_ms < kept.measured.warm_ms]
    return (
        max(filter(None, quick), key=lambda point: point.requests, default=None),
        min(filter(None, steady), key=lambda point: point.requests, default=None),
    )


def _break_even(other: Evaluation, quick: Evaluation, steady: Evaluation) -> BreakEven | None:
    """Return where `steady`, with the faster runs, catches up; None if either difference is negligible."""
    head_start = total_ms(steady.measured, 1) - total_ms(quick.measured, 1)
    slower = quick.measured.warm_ms - steady.measured.warm_ms
    if head_start < _LEAST_MS or slower < _LEAST_SHARE * quick.measured.warm_ms:
        return None
    return BreakEven(1 + head_start / slower, other)


def _typical(rounds: Sequence[Measurement]) -> Measurement:
    apart = [each.largest for each in rounds if each.largest is not None]
    return Measurement(
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
