"""Rounds in which all contestants take their turn, one after the other, so that what disturbs one disturbs all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from conditions import Condition
from contestants import Contestant, Field
from figures import Measured, Round
from http_wire import Reply
from instances import StartError, waiting
from progress import Watch
from throughput import LoadError, requests_per_second

CONNECTIONS = 4
STOP_SECONDS = 10.0  # what Cloud Run gives a server between SIGTERM and SIGKILL

_WARM_UP = 0.3  # seconds of load that do not count


class RaceError(Exception):
    """The contestants cannot be compared: one does not start, fails under load, or answers otherwise."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the start before all rounds showed of each: how many requests it makes, by the server, and how it ends."""

    asked: Mapping[str, Mapping[str, int]]
    stop_seconds: Mapping[str, float]


def compare(field: Field, watch: Watch) -> Compared:
    """Start each once and hold the answers against one another; files come into the cache. Raises RaceError."""
    answers: dict[str, Reply] = {}
    asked: dict[str, Mapping[str, int]] = {}
    stops: dict[str, float] = {}
    for each in field.contestants:
        watch.says(f"comparing answers, {each.title}")
        with failing(each), waiting(each.launch) as instance:
            before = field.asked()
            answers[each.name] = instance.first_answer(each.launch.request(field.path, field.document)).reply
            asked[each.name] = {server: count - before[server] for server, count in field.asked().items()}
            stops[each.name] = instance.stop(STOP_SECONDS)
    first = field.contestants[0]
    for each in field.contestants:
        if each.answers and not field.agree(answers[first.name].body, answers[each.name].body):
            raise RaceError(
                f"{each.name} answers {answers[each.name].body!r}, {first.name} {answers[first.name].body!r}"
            )
    return Compared(asked, stops)


def starts(field: Field, rounds: Mapping[Condition, int], watch: Watch) -> dict[str, tuple[Round, ...]]:
    """Cold starts: so many rounds under each condition, by the condition's name, as far as the time allows.

    All conditions take turns too, and each has one round at least. Those with a warm file cache come first, after a
    start of each that does not count: a cold one leaves the cache empty. Raises RaceError.
    """
    found: dict[str, list[Round]] = {condition.name: [] for condition in rounds}
    for number in range(max(rounds.values(), default=0)):
        turns = rotated(field.contestants, number)
        due = sorted((each for each, count in rounds.items() if number < count), key=lambda each: each.cold)
        for condition in due:
            if number and watch.is_over:
                break
            watch.says(f"cold starts, round {number + 1}, {condition.title}")
            if condition is due[0] and not condition.cold:
                for each in turns:
                    _start(field, each, condition)
            found[condition.name].append({each.name: _start(field, each, condition) for each in turns})
    return {name: tuple(measured) for name, measured in found.items()}


def loads(field: Field, rounds: int, seconds: float, watch: Watch) -> tuple[Round, ...]:
    """Measure requests a second over `CONNECTIONS` connections, and memory after it. Raise RaceError."""
    found: list[Round] = []
    for number in range(rounds):
        if number and watch.is_over:
            break
        watch.says(f"requests a second, round {number + 1} of {rounds}")
        found.append({each.name: _load(field, each, seconds) for each in rotated(field.contestants, number)})
    return tuple(found)


def rotated(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """Another one first in each round, so that nobody always follows the same neighbour's leftovers."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


@contextmanager
def failing(contestant: Contestant) -> Iterator[None]:
    """Whose failure it was."""
    try:
        yield
    except (StartError, LoadError, OSError, ValueError) as error:
        raise RaceError(f"{contestant.title}: {error}") from error


def _start(field: Field, contestant: Contestant, condition: Condition) -> Measured:
    with failing(contestant), waiting(contestant.launch, condition) as instance:
        answer = instance.first_answer(contestant.launch.request(field.path, field.document))
        return {"first_answer": answer.seconds, "peak": instance.peak()}


def _load(field: Field, contestant: Contestant, seconds: float) -> Measured:
    request = contestant.launch.request(field.path, field.document)
    with failing(contestant), waiting(contestant.launch) as instance:
        instance.first_answer(request)
        requests_per_second(instance.port, request, connections=CONNECTIONS, seconds=_WARM_UP)
        rate = requests_per_second(instance.port, request, connections=CONNECTIONS, seconds=seconds)
        return {"requests_per_second": rate, "memory": instance.memory()}
