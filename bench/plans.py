"""How much is measured: rounds by condition, and when a part begins no further round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import quota
from conditions import COLD, WARM, Condition

_ONE = (Condition(1.0, cold=False), Condition(1.0, cold=True))
_HALF = (Condition(0.5, cold=False), Condition(0.5, cold=True))


@dataclass(frozen=True, slots=True)
class Starts:
    """Rounds of cold starts under each condition, and how many starts are looked into by phase, for as many seconds."""

    rounds: Mapping[Condition, int]
    traces: int
    seconds: float

    def possible(self) -> dict[Condition, int]:
        """Without the conditions that this machine does not allow."""
        refused = bool(quota.refusal())
        return {each: count for each, count in self.rounds.items() if each.quota is None or not refused}


@dataclass(frozen=True, slots=True)
class Loads:
    """Rounds of requests a second, and how many seconds the load on each server lasts."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run."""

    aws: Starts
    google: Starts
    loads: Loads
    models: Mapping[str, int] = field(default_factory=dict)  # rounds by the large model's name
    seconds_for_model: float = 0
    end_to_end: Starts | None = None
    warm_rounds: int = 3
    records_rounds: int = 3
    batch_rows: int = 200_000
    batch_rounds: int = 1
    batching: Loads = field(default_factory=lambda: Loads(rounds=1, seconds=0.5))


FULL = Plan(
    aws=Starts({WARM: 9, COLD: 9} | dict.fromkeys((*_ONE, *_HALF), 5), traces=3, seconds=260),
    google=Starts({WARM: 7, COLD: 5} | dict.fromkeys((*_ONE, *_HALF), 3), traces=3, seconds=120),
    loads=Loads(rounds=4, seconds=1.5),
    models={"mlp": 7, "resnet18": 7, "transformer": 5},
    seconds_for_model=40,
    end_to_end=Starts({WARM: 5, COLD: 3}, traces=1, seconds=75),
    warm_rounds=25,
    records_rounds=15,
    batch_rows=5_000_000,
    batch_rounds=2,
    batching=Loads(rounds=5, seconds=3.0),
)

QUICK = Plan(
    aws=Starts({WARM: 3, COLD: 1}, traces=1, seconds=20),
    google=Starts({WARM: 1}, traces=1, seconds=6),
    loads=Loads(rounds=1, seconds=0.4),
    models={"mlp": 3},
    seconds_for_model=5,
)
