"""When a rollout step succeeds or fails: pure functions of observations. A step never succeeds without data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pilotlight.judging.means import is_higher, sample
from pilotlight.judging.shares import Split, evidence, is_worse

# How long a request may take to appear in the request log: usually seconds, a minute on a bad day.
LOG_SECONDS = 180.0

_PERCENTILE = 0.95

# How many times as long as the old revision the new one may take beside it: new instances begin slowly.
_SLOWER = 1.5
_SHORTEST_MS = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a rollout in percent, rising to 100, and the criteria that end one.

    A step ends after `requests` requests to the new revision, or after `seconds`. `error_budget` is the share of them
    that may fail, `latency_budget_ms` the highest 95th percentile of latency, cold starts included.
    """

    steps: tuple[int, ...]
    seconds: int
    requests: int
    error_budget: float
    latency_budget_ms: int

    def next_step(self, percent: int) -> int | None:
        """Return the next larger step, or None after the last."""
        return next((step for step in self.steps if step > percent), None)


@dataclass(frozen=True, slots=True)
class Errors:
    """The callers' requests in this step that got an error: with 4xx and with 5xx, to each revision."""

    new_4xx: int = 0
    old_4xx: int = 0
    new_5xx: int = 0
    old_5xx: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """The new revision's requests in this step, from the request log, with the latency of each in milliseconds.

    `failed` counts responses with 5xx, `probes` the golden samples among the requests. `errors` compares the
    revisions, and `old_ms` has the latencies of the old one.
    """

    latencies_ms: tuple[float, ...] = ()
    failed: int = 0
    probes: int = 0
    errors: Errors = Errors()
    old_ms: tuple[float, ...] = ()

    @property
    def callers(self) -> int:
        """The number of requests from callers."""
        return len(self.latencies_ms) - self.probes

    @property
    def p95(self) -> float:
        """The 95th percentile of latency in milliseconds, by nearest rank; 0 without requests."""
        return (
            sorted(self.latencies_ms)[math.ceil(_PERCENTILE * len(self.latencies_ms)) - 1] if self.latencies_ms else 0.0
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """The golden samples, sent `sent_at` seconds into the step: how many got a response, and what was wrong."""

    answered: int
    problems: Sequence[str]
    sent_at: float


class Verdict(Enum):
    """What a rollout does next."""

    WAIT = "wait"
    PROBE = "probe"
    ADVANCE = "advance"
    ROLL_BACK = "roll back"


def decide(plan: Plan, percent: int, observed: Observation, elapsed: float, probe: Probe | None) -> tuple[Verdict, str]:
    """Decide how to continue a step that has lasted `elapsed` seconds, with a reason.

    At 0 % the golden samples alone decide. Later, a revision with more errors than its share of the traffic explains,
    or one that takes half as long again as the old one beside it, fails at once, whatever the budget. When a step's
    time ends without enough requests, the golden samples are sent once more and the step is judged by all requests so
    far: the samples exercise the new revision, and once they appear in the log, the log is up to date.
    """
    failure = _probe_text(probe) or _worse_text(percent, observed.errors) or _slower_text(percent, observed)
    if failure:
        return Verdict.ROLL_BACK, failure
    if percent == 0:
        return (
            (Verdict.ADVANCE, f"{probe.answered} golden samples agree") if probe else (Verdict.PROBE, "golden samples")
        )
    if observed.failed > plan.error_budget * max(len(observed.latencies_ms), plan.requests):
        return Verdict.ROLL_BACK, _failures_text(plan, observed)
    if observed.callers >= plan.requests:
        return _judge(plan, observed)
    if elapsed < plan.seconds:
        return Verdict.WAIT, f"{observed.callers} of {plan.requests} requests"
    return _decide_overdue(plan, observed, elapsed, probe)


def _probe_text(probe: Probe | None) -> str:
    """Return what is wrong with the golden samples that were sent, or ""."""
    if probe is None or (probe.answered and not probe.problems):
        return ""
    return f"the golden samples fail: {'; '.join(probe.problems) or 'none could be sent'}"


def _worse_text(percent: int, errors: Errors) -> str:
    """Return why the new revision is worse than the old one, or "". Without a split there is nothing to compare."""
    if percent in (0, 100):
        return ""
    for kind, new, old in (("4xx", errors.new_4xx, errors.old_4xx), ("5xx", errors.new_5xx, errors.old_5xx)):
        split = Split(new, old, percent / 100)
        if is_worse([split]):
            return (
                f"with {percent} % of the traffic it answered {new} of {new + old} requests that got {kind}; at equal "
                f"quality that is {evidence([split]):.3g} times less likely"
            )
    return ""


def _slower_text(percent: int, observed: Observation) -> str:
    """Return why the new revision is slower than the old one, or "". Latencies are compared by their logarithms."""
    if percent in (0, 100):
        return ""
    new, old = (
        sample(math.log(max(latency, _SHORTEST_MS)) for latency in latencies)
        for latencies in (observed.latencies_ms, observed.old_ms)
    )
    if not is_higher(new, old, math.log(_SLOWER)):
        return ""
    return (
        f"with {percent} % of the traffic it takes {math.exp(new.mean - old.mean):.1f} times as long as the old "
        f"revision, in the geometric mean of {new.number} requests beside {old.number}; expected at most {_SLOWER}"
    )


def _decide_overdue(plan: Plan, observed: Observation, elapsed: float, probe: Probe | None) -> tuple[Verdict, str]:
    if probe is None:
        return Verdict.PROBE, f"only {observed.callers} of {plan.requests} requests in {plan.seconds} s: golden samples"
    if observed.probes >= probe.answered:
        return _judge(plan, observed)
    if elapsed - probe.sent_at < LOG_SECONDS:
        return Verdict.WAIT, "waiting for the golden samples to appear in the request log"
    return Verdict.ROLL_BACK, (
        f"the request log shows {observed.probes} of {probe.answered} golden samples after {LOG_SECONDS:.0f} s; "
        "without data a step does not succeed"
    )


def _judge(plan: Plan, observed: Observation) -> tuple[Verdict, str]:
    if observed.failed > plan.error_budget * len(observed.latencies_ms):
        return Verdict.ROLL_BACK, _failures_text(plan, observed)
    if observed.p95 > plan.latency_budget_ms:
        return (
            Verdict.ROLL_BACK,
            f"p95 is {observed.p95:.0f} ms, expected at most {plan.latency_budget_ms} ms",
        )
    return (
        Verdict.ADVANCE,
        f"{len(observed.latencies_ms)} requests, {observed.failed} failed, p95 {observed.p95:.0f} ms",
    )


def _failures_text(plan: Plan, observed: Observation) -> str:
    return (
        f"{observed.failed} of {len(observed.latencies_ms)} requests failed, expected at most {plan.error_budget:.1%}"
    )
