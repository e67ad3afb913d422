"""A rollout on a Cloud Run service in memory, under a clock of its own, that can be killed between any two calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fakes.cloud_run import PROJECT, REGION, RunService, Target, as_v2, patch_v2
from pilotlight_cli.gcp import Conflict, GcpError, Unavailable
from pilotlight_cli.gcp.plan import Errors, Observation, Plan
from pilotlight_cli.gcp.rollout import Rollout, Step
from pilotlight_cli.gcp.services import Service, Services, Share
from pilotlight_cli.gcp.settings import TAG
from pilotlight_cli.gcp.state import BEFORE
from servers.gcs_objects import Refused

Result = TypeVar("Result")

PLAN = Plan(steps=(10, 50, 100), seconds=60, requests=20, error_budget=0.1, latency_budget_ms=1000)
OLD, NEW = "predict-00001-abc", "predict-00002-abc"
LOCK = "0123456789abcdef"
NOON = datetime(2026, 7, 31, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone: no call of it has an effect any more."""


@dataclass
class World:
    """A service with an old revision that serves and a new one that waits under its tag, and who calls it how.

    Of the callers' `rate` a second each revision gets its share. `broken` revisions fail them, `slow` ones take their
    time, `refusing` ones answer them with 4xx, `wrong` ones answer the golden samples with nonsense. The log shows a
    request after `lag` seconds, or never. `meanwhile` is what others do while a rollout sleeps.
    """

    service: RunService = field(default_factory=lambda: RunService("predict"))
    rate: float = 10.0
    broken: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    lag: float | None = 5.0
    now: datetime = NOON
    probes: list[tuple[str, datetime]] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.service.deploy()
        self.service.send(Target(OLD, 100))
        self.service.deploy()
        self.service.send(Target(OLD, 100), Target(NEW, tag=TAG))

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        if self.meanwhile:
            todo, self.meanwhile = self.meanwhile, None
            todo()

    def observe(self, revision: str, old: str, since: datetime, probe_id: str) -> Observation:
        """Return what the request log has by now."""
        if self.lag is None:
            return Observation()
        shown = self.now - timedelta(seconds=self.lag)
        ours = sum(found == probe_id and at <= shown for found, at in self.probes)
        calls = {name: self._callers(name, since, shown) for name in (revision, old)}
        times = (5000.0 if revision in self.slow else 50.0,) * (calls[revision] + ours)
        new_4xx, old_4xx = (calls[name] if name in self.refusing else 0 for name in (revision, old))
        failed = len(times) if revision in self.broken else 0
        return Observation(times, failed, ours, Errors(new_4xx, old_4xx), (50.0,) * calls[old])

    def _callers(self, revision: str, since: datetime, until: datetime) -> int:
        share = self.service.split.get(revision, 0) / 100
        return int(max(0.0, (until - since).total_seconds()) * self.rate * share)

    def probe(self, service: Service, probe_id: str) -> tuple[int, Sequence[str]]:
        """Three golden samples, to the revision behind the tag."""
        assert service.tags[TAG] == f"http://{TAG}---predict.run.example"
        self.probes += [(probe_id, self.now)] * 3
        return 3, ["sample 1: nonsense"] if self.service.tags[TAG] in self.wrong else []


@dataclass
class Process:
    """A process that works on a world: see `rollout.Platform`. Its calls are counted.

    With `trouble` the call of that number is never carried out; with `late` it is, and nobody hears of it.
    """

    world: World
    at: int = 0
    late: bool = False
    trouble: Callable[[], BaseException] = Killed
    forever: bool = True
    calls: int = 0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services = Services(self, PROJECT, REGION, clock=self._seconds, sleep=self.sleep)

    def rollout(self, plan: Plan = PLAN, lock: str = LOCK) -> Rollout:
        return Rollout(self, plan, lock, lambda: self.world.now, self.sleep, self.steps.append)

    def read(self) -> Service:
        return self.services.read("predict")

    def write(self, service: Service, annotations: dict[str, str], traffic: tuple[Share, ...]) -> None:
        self.services.write(service, annotations, traffic)

    def observe(self, revision: str, old: str, since: datetime, probe_id: str) -> Observation:
        return self._call(lambda: self.world.observe(revision, old, since, probe_id))

    def probe(self, service: Service, probe_id: str) -> tuple[int, Sequence[str]]:
        return self._call(lambda: self.world.probe(service, probe_id))

    def sleep(self, seconds: float) -> None:
        self._call(lambda: self.world.sleep(seconds))

    def get(self, path: str) -> dict[str, Any]:
        """See `services.Calls`."""
        if "/operations/" in path:
            return self._call(lambda: {"done": True})
        return self._call(lambda: as_v2(self.world.service))

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """See `services.Calls`."""
        return self._call(lambda: self._patch(path.partition("updateMask=")[2], document))

    def _patch(self, mask: str, document: dict[str, Any]) -> dict[str, Any]:
        try:
            patch_v2(self.world.service, document, mask)
        except Refused as refused:
            raise (Conflict if refused.status == 409 else GcpError)(str(refused)) from None
        return {"name": "projects/p/locations/l/operations/1", "done": False}

    def _call(self, effect: Callable[[], Result]) -> Result:
        self.calls += 1
        struck = self.at and (self.calls == self.at or (self.forever and self.calls > self.at))
        if not struck:
            return effect()
        if self.late and self.calls == self.at:
            effect()
        raise self.trouble()

    def _seconds(self) -> float:
        return (self.world.now - NOON).total_seconds()


def unavailable() -> Unavailable:
    """Return what a lost connection is to our own code."""
    return Unavailable("the connection was reset")


def started(**world: Any) -> World:
    """Return a world in which a rollout was started, and nothing more."""
    made = World(**world)
    with suppress(Killed):
        Process(made, at=5).rollout().start(OLD, NEW)
    return made


def assert_whole(world: World, *revisions: str) -> None:
    """All traffic is on one of these by its name, and nothing of the rollout is left."""
    assert world.service.split in [{revision: 100} for revision in revisions]
    assert all(target.revision for target in world.service.traffic if target.percent)
    assert not world.service.annotations.keys() - {BEFORE}
    assert world.service.tags == {}
