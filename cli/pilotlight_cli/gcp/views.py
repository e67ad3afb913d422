"""What a person sees of a rollout: a table of its steps that moves, and lines where nothing can move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.live import Live
from rich.table import Table

from pilotlight_cli import console
from pilotlight_cli.gcp.plan import Plan
from pilotlight_cli.gcp.rollout import Step
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.state import rollout_on, split_text

_HEADERS = ("new revision", "requests", "failed", "p95", "after", "")
_NUMBERS = ("new revision", "requests", "failed", "p95", "after")


@dataclass(slots=True)
class Board:
    """The steps of a plan, with what was seen in each so far."""

    plan: Plan
    seen: dict[int, Step] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        """Take what is new of a step."""
        self.seen[step.state.percent] = step

    def table(self) -> Table:
        """The steps, those to come too."""
        return console.table(_HEADERS, [self._row(percent) for percent in (0, *self.plan.steps)], right=_NUMBERS)

    def _row(self, percent: int) -> tuple[str, ...]:
        step = self.seen.get(percent)
        if step is None:
            return (f"{percent} %", "", "", "", "", "golden samples" if percent == 0 else "")
        seen = step.seen
        counts = (str(len(seen.times)), str(seen.failed), f"{seen.p95:.0f} ms") if percent else ("", "", "")
        return (f"{percent} %", *counts, f"{step.elapsed:.0f} s", step.why)


@contextmanager
def watching(plan: Plan) -> Iterator[Callable[[Step], None]]:
    """A live table on stderr; where that is no terminal, a line whenever a step has something new to say."""
    board, shown = Board(plan), console.messages()
    if not shown.is_terminal:
        yield _lines()
        return
    live = Live(console=shown, auto_refresh=False)

    def tell(step: Step) -> None:
        live.start()  # not before: until then lines are printed
        board.add(step)
        live.update(board.table(), refresh=True)

    try:
        yield tell
    finally:
        live.stop()


def plan_table(plan: Plan, service: Service | None) -> Table:
    """The steps that a rollout would take, or has still to take: who would have what, and until when."""
    state = rollout_on(service) if service else None
    now = state.percent if state else -1
    later = f"{plan.requests} requests, or {plan.seconds} s and the golden samples"
    rows = []
    for percent in (0, *plan.steps):
        progress = "done" if percent < now else "under way" if percent == now else ""
        rows.append((f"{percent} %", progress, later if percent else "the golden samples agree, at the tag's URL"))
    return console.table(("new revision", "", "until"), rows, right=("new revision",))


def status_text(service: Service | None) -> str:
    """A sentence about the traffic of a service."""
    if service is None:
        return "there is nothing yet: the first deployment has no traffic to shift"
    state = rollout_on(service)
    under = f"; the rollout of {state.new} is under way, since {state.started:%Y-%m-%d %H:%M} UTC" if state else ""
    newest = "" if state or service.created in service.split else f"; the newest revision, {service.created}, has none"
    return f"{service.name}: {split_text(service.split)}{under}{newest}"


def document(plan: Plan, service: Service | None) -> dict[str, Any]:
    """The same for another program."""
    state = rollout_on(service) if service else None
    return {
        "service": service.name if service else None,
        "traffic": service.split if service else {},
        "under_way": {"old": state.old, "new": state.new, "percent": state.percent} if state else None,
        "steps": list(plan.steps),
    }


def _lines() -> Callable[[Step], None]:
    last = ""

    def tell(step: Step) -> None:
        nonlocal last
        text = f"{step.state.new} at {step.state.percent} %: {step.why}"
        if text != last:
            console.say(text)
            last = text

    return tell
