"""Rounds in which all contestants take their turn, one after the other, so that what disturbs one disturbs all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from contestants import Contestant, Field
from figures import Measured
from http_wire import Reply, post
from instances import StartError, waiting
from pilotlight_cli import console
from pilotlight_cli.local.sample import sample_request
from throughput import LoadError, requests_per_second

CONNECTIONS = 4
STOP_SECONDS = 10.0  # what Cloud Run gives a server between SIGTERM and SIGKILL

_WARM_UP = 0.3  # seconds of load that do not count
_TOLERANCE = 1e-6

Step = Callable[[str], None]
"""Told what begins."""


class RaceError(Exception):
    """The contestants cannot be compared: one does not start, fails under load, or answers otherwise."""


@dataclass(frozen=True, slots=True)
class Race:
    """The rounds that count, and what the round before them showed of each contestant.

    `asked` is how many requests its start made, by the server; `stop_seconds` how long it took to end after SIGTERM.
    """

    rounds: tuple[dict[str, Measured], ...]
    asked: Mapping[str, Mapping[str, int]]
    stop_seconds: Mapping[str, float]


def race(field: Field, *, rounds: int, seconds: float) -> Race:
    """Run one round that does not count, in which answers are compared and files come into the cache, and the others.

    `seconds` is how long the load on each server lasts. Raises RaceError.
    """
    path, document = sample_request()
    request = post(path, {"features": list(document["features"].values())})
    with _progress((rounds + 1) * len(field.contestants)) as step:
        asked, stops = _compared(field, request, step)
        measured = []
        for number in range(1, rounds + 1):
            told = f"round {number} of {rounds}"
            measured.append({each.name: _turn(each, request, seconds, step, told) for each in field.contestants})
    return Race(tuple(measured), asked, stops)


def _compared(field: Field, request: bytes, step: Step) -> tuple[dict[str, Mapping[str, int]], dict[str, float]]:
    """Hold the answers against one another; what each asks for at its start, and the seconds that it takes to stop."""
    answers: dict[str, Reply] = {}
    asked: dict[str, Mapping[str, int]] = {}
    stops: dict[str, float] = {}
    for each in field.contestants:
        step(f"comparing answers: {each.title}")
        with _failing(each), waiting(each.launch) as instance:
            before = field.asked()
            _, answers[each.name] = instance.first_answer(request)
            asked[each.name] = {server: count - before[server] for server, count in field.asked().items()}
            requests_per_second(instance.port, request, connections=CONNECTIONS, seconds=_WARM_UP)
            stops[each.name] = instance.stop(STOP_SECONDS)
    first = answers[field.contestants[0].name]
    for name, answer in answers.items():
        if not same(first, answer):
            raise RaceError(f"{name} answers {answer.body!r}, and {field.contestants[0].name} {first.body!r}")
    return asked, stops


def _turn(contestant: Contestant, request: bytes, seconds: float, step: Step, told: str) -> Measured:
    step(f"{told}: {contestant.title}")
    with _failing(contestant), waiting(contestant.launch) as instance:
        first_answer, _ = instance.first_answer(request)
        requests_per_second(instance.port, request, connections=CONNECTIONS, seconds=_WARM_UP)
        rate = requests_per_second(instance.port, request, connections=CONNECTIONS, seconds=seconds)
        return Measured(first_answer, rate, instance.memory())


def same(one: Reply, other: Reply) -> bool:
    """Whether two answers say the same: the label, and all probabilities to 1e-6."""
    mine, theirs = json.loads(one.body), json.loads(other.body)
    pairs = zip(mine["probabilities"], theirs["probabilities"], strict=True)
    return mine["prediction"] == theirs["prediction"] and all(
        math.isclose(a, b, rel_tol=0, abs_tol=_TOLERANCE) for a, b in pairs
    )


@contextmanager
def _failing(contestant: Contestant) -> Iterator[None]:
    try:
        yield
    except (StartError, LoadError, OSError, ValueError) as error:
        raise RaceError(f"{contestant.title}: {error}") from error


@contextmanager
def _progress(total: int) -> Iterator[Step]:
    """A bar on a terminal, a line for each step elsewhere."""
    messages = console.messages()
    if not messages.is_terminal:
        yield console.say
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("", total=total + 1)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text)

        yield step
