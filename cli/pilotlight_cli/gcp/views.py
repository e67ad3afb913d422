"""The display of a rollout: a live table of its steps on a terminal, lines elsewhere."""

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
    """The steps of a plan, with the progress of each."""

    plan: Plan
    steps: dict[int, Step] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        """Update a step."""
        self.steps[step.state.percent] = step

    def table(self) -> Table:
        """Return all steps as a table."""
        return console.table(_HEADERS, [self._row(percent) for percent in (0, *self.plan.steps)], right=_NUMBERS)

    def _row(self, percent: int) -> tuple[str, ...]:
        step = self.steps.get(percent)
        if step is None:
            return (f"{percent} %", "", "", "", "", "golden samples" if percent == 0 else "")
        observed = step.observed
        counts = (
            (str(len(observed.latencies_ms)), str(observed.failed), f"{observed.p95:.0f} ms")
            if percent
            else ("", "", "")
        )
        return (f"{percent} %", *counts, f"{step.elapsed:.0f} s", step.reason)


@contextmanager
def watching(plan: Plan) -> Iterator[Callable[[Step], None]]:
    """Show progress on stderr: a live table on a terminal, elsewhere a line for each change."""
    board, shown = Board(plan), console.messages()
    if not shown.is_terminal:
        yield _line_printer()
        return
    live = Live(console=shown, auto_refresh=False)

    def on_step(step: Step) -> None:
        live.start()  # not earlier: other lines are printed before the first step
        board.add(step)
        live.update(board.table(), refresh=True)

    try:
        yield on_step
    finally:
        live.stop()


def plan_table(plan: Plan, service: Service | None) -> Table:
    """Return the steps of a rollout as a table: percentage, progress, when each ends."""
    state = rollout_on(service) if service else None
    now = state.percent if state else -1
    later = f"{plan.requests} requests, or {plan.seconds} s and the golden samples"
    rows = []
    for percent in (0, *plan.steps):
        progress = "done" if percent < now else "in progress" if percent == now else ""
        rows.append((f"{percent} %", progress, later if percent else "the golden samples pass at the tag's URL"))
    return console.table(("new revision", "", "until"), rows, right=("new revision",))


def status_text(service: Service | None) -> str:
    """Return a sentence about the traffic of a service."""
    if service is None:
        return "the function is not deployed yet: the first deployment has no traffic to shift"
    state = rollout_on(service)
    progress = f"; a rollout of {state.new} is in progress since {state.started:%Y-%m-%d %H:%M} UTC" if state else ""
    newest = "" if state or service.created in service.split else f"; the newest revision, {service.created}, has none"
    return f"{service.name}: {split_text(service.split)}{progress}{newest}"


def document(plan: Plan, service: Service | None) -> dict[str, Any]:
    """Return the traffic and the plan as a JSON document."""
    state = rollout_on(service) if service else None
    return {
        "service": service.name if service else None,
        "traffic": service.split if service else {},
        "under_way": {"old": state.old, "new": state.new, "percent": state.percent} if state else None,
        "steps": list(plan.steps),
    }


def _line_printer() -> Callable[[Step], None]:
    last = ""

    def on_step(step: Step) -> None:
        nonlocal last
        text = f"{step.state.new} at {step.state.percent} %: {step.reason}"
        if text != last:
            console.say(text)
            last = text

    return on_step
