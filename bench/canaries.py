"""How often a canary is called worse that is not, and how soon one that is: simulated, with a fixed seed.

$ PYTHONPATH=bench .venv/bin/python bench/canaries.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import erf, log, sqrt
from statistics import median

import numpy as np

from pilotlight.judging.means import Sample, is_higher
from pilotlight.judging.shares import LEVEL, Split, is_worse

_SEED = 7
LOOKS = 28


@dataclass(frozen=True, slots=True)
class Found:
    """How many canaries of all were called worse, and at which look in the median; None if none was."""

    share: float
    look: float | None


def simulate(judge: str, canaries: int, requests: int, share: float, rates: tuple[float, float]) -> Found:
    """Judge canaries at each of LOOKS looks, with `requests` to both versions in between.

    `rates` are the old version's share of errors and the new one's.
    """
    old_rate, new_rate = rates
    random = np.random.default_rng(_SEED)
    new_requests = random.binomial(requests, share, (canaries, LOOKS))
    new = random.binomial(new_requests, new_rate).cumsum(axis=1)
    old = random.binomial(requests - new_requests, old_rate).cumsum(axis=1)
    seen = new_requests.cumsum(axis=1)
    every = requests * np.arange(1, LOOKS + 1)
    looks = []
    for row in range(canaries):
        for look in range(LOOKS):
            counts = int(new[row, look]), int(old[row, look])
            others = int(every[look] - seen[row, look])
            if is_worse([Split(*counts, share)]) if judge == "sprt" else _z(*counts, int(seen[row, look]), others):
                looks.append(look + 1)
                break
    return Found(len(looks) / canaries, median(looks) if looks else None)


def simulate_latencies(canaries: int, requests: int, share: float, slower: float) -> Found:
    """Judge canaries by log-normal latencies with a deviation of 0.5; the new version takes `slower` times as long.

    `requests` go to both versions from look to look.
    """
    random = np.random.default_rng(_SEED)
    new, old = (max(round(requests * part), 1) for part in (share, 1 - share))
    looks = []
    for _ in range(canaries):
        logarithms = [random.normal(log(times), 0.5, (LOOKS, count)) for count, times in ((new, slower), (old, 1.0))]
        sums, squares = ([(one**power).sum(axis=1).cumsum() for one in logarithms] for power in (1, 2))
        for look in range(LOOKS):
            counts = new * (look + 1), old * (look + 1)
            means = [sums[side][look] / counts[side] for side in (0, 1)]
            spreads = [squares[side][look] / counts[side] - means[side] ** 2 for side in (0, 1)]
            first, second = (Sample(*one) for one in zip(counts, means, spreads, strict=True))
            if is_higher(first, second):
                looks.append(look + 1)
                break
    return Found(len(looks) / canaries, median(looks) if looks else None)


def _z(new: int, old: int, seen: int, others: int) -> bool:
    """Do the z test of two rates at LEVEL, as if this were the only look."""
    rate = (new + old) / (seen + others)
    deviation = sqrt(rate * (1 - rate) * (1 / seen + 1 / others))
    difference = new / seen - old / others
    return deviation > 0 and difference > 0 and 1 - erf(difference / deviation / sqrt(2)) <= LEVEL


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Simulate canaries and how they are judged.")
    parser.add_argument("--canaries", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=1000, help="to both versions, from look to look")
    given = parser.parse_args()
    print(f"{given.canaries} canaries, {LOOKS} looks, {given.requests} requests from look to look")
    print(f"{'errors':>12} {'traffic':>8} {'z test':>8} {'SPRT':>8} {'median look':>12}")
    for old, new in ((0.001, 0.001), (0.02, 0.02), (0.3, 0.3), (0.02, 0.04), (0.02, 0.5)):
        for share in (0.1, 0.5):
            z, sprt = (simulate(judge, given.canaries, given.requests, share, (old, new)) for judge in ("z", "sprt"))
            rates = f"{old:.1%}, {new:.1%}"
            print(f"{rates:>12} {share:>8.0%} {z.share:>8.1%} {sprt.share:>8.1%} {sprt.look or '-':>12}")
    print(f"{'latency':>12} {'traffic':>8} {'':>8} {'SPRT':>8} {'median look':>12}")
    for slower in (1.0, 1.1, 1.25, 3.0):
        for share in (0.1, 0.5):
            found = simulate_latencies(given.canaries, given.requests // 5, share, slower)
            print(f"{f'x {slower}':>12} {share:>8.0%} {'':>8} {found.share:>8.1%} {found.look or '-':>12}")


if __name__ == "__main__":
    main()
