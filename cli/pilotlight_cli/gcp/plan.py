"""When a step of a rollout has been good: pure functions of what was seen. No data never counts as good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# How long a request may take to come up in the request log: seconds usually, a minute on a bad day.
LOG_SECONDS = 180.0

_PERCENTILE = 0.95


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a rollout in percent, rising to 100, and when one of them ends.

    A step is over after `requests` requests of the new revision, or after `seconds`. `error_budget` is the share of
    them that may fail, `latency_budget_ms` what 95 of 100 may take, cold starts included.
    """

    steps: tuple[int, ...]
    seconds: int
    requests: int
    error_budget: float
    latency_budget_ms: int

    def after(self, percent: int) -> int | None:
        """The step that comes after one; None after the last."""
        return next((step for step in self.steps if step > percent), None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the request log says of the new revision in this step: times in milliseconds, one for each request.

    `failed` counts the requests answered with 5xx. `probes` are our own among all these.
    """

    times: tuple[float, ...] = ()
    failed: int = 0
    probes: int = 0

    @property
    def callers(self) -> int:
        """How many requests came from callers."""
        return len(self.times) - self.probes

    @property
    def p95(self) -> float:
        """What 95 of 100 requests took at most, in milliseconds, by nearest rank; 0 without a request."""
        return sorted(self.times)[math.ceil(_PERCENTILE * len(self.times)) - 1] if self.times else 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The golden samples, sent `at` seconds into the step: how many were answered, and what was wrong."""

    answered: int
    wrong: Sequence[str]
    at: float


class Verdict(Enum):
    """What is to be done now."""

    WAIT = "wait"
    PROBE = "probe"
    ON = "on"
    BACK = "back"


def decide(plan: Plan, percent: int, seen: Seen, elapsed: float, probe: Probe | None) -> tuple[Verdict, str]:
    """What to do with a step that has lasted `elapsed` seconds, and why.

    At 0 % only the golden samples tell anything. Later, the step's time over without enough requests, it is judged by
    what there is and by the golden samples, sent once more: they make the new revision work, and their coming up in the
    log shows that the log is up to date.
    """
    if probe is not None and (probe.wrong or not probe.answered):
        return Verdict.BACK, f"the golden samples fail: {'; '.join(probe.wrong) or 'none could be sent'}"
    if percent == 0:
        return (Verdict.ON, f"{probe.answered} golden samples agree") if probe else (Verdict.PROBE, "golden samples")
    if seen.failed > plan.error_budget * max(len(seen.times), plan.requests):
        return Verdict.BACK, _failures(plan, seen)
    if seen.callers >= plan.requests:
        return _judge(plan, seen)
    if elapsed < plan.seconds:
        return Verdict.WAIT, f"{seen.callers} of {plan.requests} requests"
    return _late(plan, seen, elapsed, probe)


def _late(plan: Plan, seen: Seen, elapsed: float, probe: Probe | None) -> tuple[Verdict, str]:
    if probe is None:
        return Verdict.PROBE, f"only {seen.callers} of {plan.requests} requests in {plan.seconds} s: golden samples"
    if seen.probes >= probe.answered:
        return _judge(plan, seen)
    if elapsed - probe.at < LOG_SECONDS:
        return Verdict.WAIT, "waiting for the golden samples to come up in the request log"
    return Verdict.BACK, (
        f"the request log shows {seen.probes} of {probe.answered} golden samples after {LOG_SECONDS:.0f} s: without "
        "data nothing is good"
    )


def _judge(plan: Plan, seen: Seen) -> tuple[Verdict, str]:
    if seen.failed > plan.error_budget * len(seen.times):
        return Verdict.BACK, _failures(plan, seen)
    if seen.p95 > plan.latency_budget_ms:
        return Verdict.BACK, f"95 of 100 requests took up to {seen.p95:.0f} ms, {plan.latency_budget_ms} are allowed"
    return Verdict.ON, f"{len(seen.times)} requests, {seen.failed} failed, p95 {seen.p95:.0f} ms"


def _failures(plan: Plan, seen: Seen) -> str:
    return f"{seen.failed} of {len(seen.times)} requests failed, {plan.error_budget:.1%} may"
