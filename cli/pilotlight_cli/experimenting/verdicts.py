"""What the counts of an experiment say of each treatment: promote, roll back, or hold. Silence never promotes.

Errors, latency and answers are compared by bucket: as ratios of two sums, by their linearisation (the delta method),
with `pilotlight.judging`. So a look at any time is valid, however often one looks. Errors are compared a second way,
by the buckets with any, which is exact for rare ones. The mean of two evidences is one (Vovk and Wang, E-values, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import exp, log, sqrt
from statistics import variance
from typing import Literal

from pilotlight.drift.verdict import chi_squared_tail
from pilotlight.judging import means, shares
from pilotlight.judging.shares import LEVEL, Split
from pilotlight_cli.experimenting.shares import percent
from pilotlight_cli.experimenting.tally import Cluster, Tally, Variant

Outcome = Literal["promote", "roll back", "hold"]
_PROMOTE: Outcome = "promote"
_ROLL_BACK: Outcome = "roll back"
_HOLD: Outcome = "hold"

# Units that each variant needs for a verdict, and both together for the check of their ratio.
ENOUGH = 100

# The probability by which the ratio of units that were seen is no chance.
MISMATCH = 0.001
_LEAST_EXPECTED = 5

# How many times as long a treatment may take; how far its answers may be from the control's until somebody has to look:
# in a label's share, and of a score in the control's deviations.
_SLOWER = 1.5
_SHARE_APART = 0.1
_DEVIATIONS_APART = 0.5

# The questions whose answer can be to roll back: 4xx, 5xx, latency.
_HARMS = 3

Part = Callable[[Cluster], float]


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison: both values, how much speaks for a difference, and how much has to.

    `kind` is `4xx`, `5xx`, `latency` (geometric means in milliseconds), `label NAME` (shares) or `score`. A value is
    None without data.
    """

    kind: str
    treatment: float | None
    control: float | None
    evidence: float
    needed: float

    @property
    def is_found(self) -> bool:
        """Whether the difference is no chance."""
        return self.evidence >= self.needed


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome for a treatment with its reason, what is missing until there is a better one, and the comparisons.

    `ratio_p` is the probability of a ratio of units like the one that was seen; None if there are too few.
    """

    variant: str
    outcome: Outcome
    sentence: str
    missing: tuple[str, ...]
    tests: tuple[Test, ...]
    ratio_p: float | None


def judge(found: Tally, *, by_request: bool) -> tuple[Verdict, ...]:
    """Return the verdict on each treatment. `by_request`: each request is a unit."""
    control, *treatments = found.variants
    return tuple(_judge(found, control, each, len(treatments), by_request=by_request) for each in treatments)


def _judge(found: Tally, control: Variant, treatment: Variant, number: int, *, by_request: bool) -> Verdict:
    tests = tuple(_tests(control, treatment, number))
    p = ratio_p(control, treatment, by_request=by_request)
    units = f"{len(treatment.clusters)} units of {treatment.name} beside {len(control.clusters)} of the control"
    good = f"{units}: neither more errors nor more time than chance explains"
    said = chain(
        zip(repeat(_HOLD), _broken(control, treatment)),
        zip(repeat(_HOLD), _mismatch(units, p)),
        zip(repeat(_ROLL_BACK), _harms(tests, control, treatment)),
        zip(repeat(_HOLD), _doubts(units, tests, control, treatment)),
        [(_PROMOTE, good if len(tests) > _HARMS else f"{good}; answers not compared")],
    )
    outcome, sentence = next(said)
    return Verdict(treatment.name, outcome, sentence, tuple(_missing(found, control, treatment)), tests, p)


def ratio_p(control: Variant, treatment: Variant, *, by_request: bool) -> float | None:
    """Return the p of the chi-squared test that as many units of each variant were seen as its share is.

    Of buckets, which are finite, as of any group of them each has the same chance to be seen. None with fewer than
    ENOUGH units, or where too few are expected.
    """
    seen, sizes = [len(one.clusters) for one in (control, treatment)], [control.buckets, treatment.buckets]
    if sum(seen) < ENOUGH or not all(sizes):
        return None
    part = sum(seen) / sum(sizes)
    left = 1.0 if by_request else 1 - part
    if min(sizes) * part * (1.0 if by_request else min(1.0, left / part)) < _LEAST_EXPECTED:
        return None
    value = sum((one - part * whole) ** 2 / (part * whole) for one, whole in zip(seen, sizes, strict=True))
    return chi_squared_tail(value / left, 1)


def _missing(found: Tally, control: Variant, treatment: Variant) -> Iterator[str]:
    for one in (treatment, control):
        if len(one.clusters) < ENOUGH:
            yield f"{ENOUGH - len(one.clusters)} more units of {one.name}"
        if one.buckets < ENOUGH:
            yield f"a share of {one.name} of at least {percent(ENOUGH)} %, since units are counted by their buckets"
    if found.earlier and min(len(treatment.clusters), len(control.clusters)) < ENOUGH:
        yield (
            f"requests with the shares of experiment.lock: {found.earlier} had others, and are not compared; release "
            "the function with this file if they go on"
        )
    if not any(one.total("scored") or one.labels for one in (treatment, control)):
        yield "labels or scores in the lines, so answers are not compared"


def _broken(control: Variant, treatment: Variant) -> Iterator[str]:
    for one in (treatment, control):
        if one.unusable:
            yield f"{one.unusable_lines} lines of {one.name} cannot be counted: {one.unusable}"
    for one in (treatment, control):
        if not one.clusters:
            yield f"no request of a unit of {one.name}; expected lines of requests with this experiment's salt"


def _mismatch(units: str, p: float | None) -> Iterator[str]:
    if p is not None and p < MISMATCH:
        yield (
            f"{units} do not have the ratio of the shares (p = {p:.1g}): requests or lines of one are lost, and the "
            "others cannot be compared"
        )


def _harms(tests: Sequence[Test], control: Variant, treatment: Variant) -> Iterator[str]:
    for test in tests[:_HARMS]:
        if test.is_found:
            yield _harm(test, control, treatment)


def _doubts(units: str, tests: Sequence[Test], control: Variant, treatment: Variant) -> Iterator[str]:
    if len(treatment.clusters) < ENOUGH or len(control.clusters) < ENOUGH:
        yield f"{units}; a verdict needs {ENOUGH} of each"
    if not (treatment.latencies and control.latencies):
        yield f"{units}: no request was answered of one of them, so there is no latency to compare"
    if treatment.fallbacks * 2 > treatment.total("requests"):
        yield (
            f"the control answered {treatment.fallbacks} of {treatment.total('requests'):.0f} requests of "
            f"{treatment.name}'s units: see why that is not loaded in its variant_start in the log"
        )
    for test in tests[_HARMS:]:
        if test.is_found:
            yield (
                f"the answers differ: {test.kind} is {_number(test.treatment)} with {treatment.name} and "
                f"{_number(test.control)} with the control; decide by your own outcomes which is right"
            )


def _harm(test: Test, control: Variant, treatment: Variant) -> str:
    beyond = f"at equal quality that is {test.evidence:.3g} times less likely"
    if test.kind == "latency":
        return (
            f"{treatment.name} takes {_number(test.treatment)} ms, the control {_number(test.control)} ms, in the "
            f"geometric mean; with at most {_SLOWER} times as long that is {test.evidence:.3g} times less likely"
        )
    name = "client_errors" if test.kind == "4xx" else "server_errors"
    counts = [
        f"{one.total(name):.0f} of {one.total('requests'):.0f} requests of {one.name}" for one in (treatment, control)
    ]
    return f"{counts[0]} got {test.kind}, beside {counts[1]}; {beyond}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _tests(control: Variant, treatment: Variant, number: int) -> Iterator[Test]:
    """Yield the comparisons: _HARMS of them, then those of the answers, where both have some."""
    needed = _HARMS * number / LEVEL
    for kind, part in (("4xx", _client_errors), ("5xx", _server_errors)):
        found = _compared(treatment, control, part, _requests)
        evidence = (means.evidence(*found) + _of_any(treatment, control, part)) / 2
        yield Test(kind, *_values(found), evidence, needed)
    found = _compared(treatment, control, lambda each: each.log_latency, lambda each: each.answered)
    logarithms = _values(found)
    times = [None if value is None else exp(value) for value in logarithms]
    yield Test("latency", times[0], times[1], means.evidence(*found, log(_SLOWER)), needed)
    labels = sorted({*control.labels, *treatment.labels}) if control.labels and treatment.labels else []
    for label in labels:
        found = _compared(treatment, control, _rows_of(label), lambda each: each.rows)
        evidence = _apart(found, _SHARE_APART)
        yield Test(f"label {label}", *_values(found), evidence, len(labels) * number / LEVEL)
    if control.total("scored") and treatment.total("scored"):
        found = _compared(treatment, control, lambda each: each.score, lambda each: each.scored)
        margin = _DEVIATIONS_APART * _deviation(control)
        yield Test("score", *_values(found), _apart(found, margin), number / LEVEL)


def _rows_of(label: str) -> Part:
    return lambda each: each.labels[label]


def _requests(each: Cluster) -> float:
    return each.requests


def _client_errors(each: Cluster) -> float:
    return each.client_errors


def _server_errors(each: Cluster) -> float:
    return each.server_errors


def _deviation(variant: Variant) -> float:
    number = variant.total("scored")
    mean = variant.total("score") / number
    return sqrt(max(variant.total("square") / number - mean**2, 0.0))


def _apart(found: tuple[means.Sample, means.Sample], margin: float) -> float:
    """Return the evidence for a difference of more than a margin, in either direction."""
    treatment, control = found
    return means.evidence(treatment, control, margin) + means.evidence(control, treatment, margin)


def _of_any(treatment: Variant, control: Variant, part: Part) -> float:
    """Return the evidence of the buckets that have any error: they are a draw of all."""
    if not (treatment.buckets and control.buckets):
        return 0.0
    new, old = (sum(part(each) > 0 for each in one.clusters.values()) for one in (treatment, control))
    return shares.evidence([Split(new, old, treatment.buckets / (treatment.buckets + control.buckets))])


def _compared(treatment: Variant, control: Variant, part: Part, whole: Part) -> tuple[means.Sample, means.Sample]:
    """Return the ratio of two sums for both variants, each with the variance of a bucket's part in it.

    No variance is smaller than that of both together: few buckets without any error do not say that there are none.
    """
    pairs = [
        [(part(each), whole(each)) for each in one.clusters.values() if whole(each)] for one in (treatment, control)
    ]
    both = _ratio([*pairs[0], *pairs[1]])
    treated, untreated = (each._replace(variance=max(each.variance, both.variance)) for each in map(_ratio, pairs))
    return treated, untreated


def _ratio(pairs: Sequence[tuple[float, float]]) -> means.Sample:
    whole = sum(one for _, one in pairs)
    if not whole:
        return means.Sample(0, 0.0, 0.0)
    ratio = sum(one for one, _ in pairs) / whole
    apart = [(one - ratio * own) * len(pairs) / whole for one, own in pairs]
    return means.Sample(len(pairs), ratio, variance(apart) if len(pairs) > 1 else 0.0)


def _values(found: Iterable[means.Sample]) -> tuple[float | None, float | None]:
    treated, untreated = (each.mean if each.number else None for each in found)
    return treated, untreated
