"""The parts of a run: each starts what it compares, measures by its plan, and gives what its results file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import contestants
from batch import measured as scored_files
from batching import measured as joined_requests
from conditions import COLD, WARM, Condition
from contestants import Contestant, Field
from instances import waiting
from large import end_to_end
from large import loads as loads_of_models
from marks import Phase, phases, traced
from plans import Plan, Starts
from progress import Watch, watching
from race import compare, failing, loads, starts
from records import measured as scored_events
from results import field_document
from warm import measured


def aws(python: str, plan: Plan) -> Mapping[str, Any]:
    """Cold starts of the small model in AWS's runtime."""
    with contestants.aws(python) as field, watching("AWS", plan.aws.seconds) as watch:
        return raced(field, plan.aws, watch)


def google(python: str, plan: Plan) -> Mapping[str, Any]:
    """Cold starts of the small model on functions-framework, and its load."""
    with contestants.google(python) as field:
        with watching("Google Cloud", plan.google.seconds) as watch:
            found = raced(field, plan.google, watch)
        with watching("Google Cloud", plan.google.seconds) as watch:
            return {**found, "loads": list(loads(field, plan.loads.rounds, plan.loads.seconds, watch))}


def large(python: str, plan: Plan) -> Mapping[str, Any]:
    """Measure loads of large models, and whole starts with the largest."""
    found = loads_of_models(python, plan)
    if plan.end_to_end is None:
        return found
    with end_to_end(python) as field, watching("Transformer", plan.end_to_end.seconds) as watch:
        return {**found, "end_to_end": raced(field, plan.end_to_end, watch)}


def warm(_python: str, plan: Plan) -> Mapping[str, Any]:
    """Return a warm request's time over a bare run, in this process."""
    with watching("Warm requests", seconds=0) as watch:
        return measured(plan.warm_rounds, watch.says)


def records(_python: str, plan: Plan) -> Mapping[str, Any]:
    """Return what a record of an event costs over a request and a row of a batch, in this process."""
    with watching("Records", seconds=0) as watch:
        watch.says("in turns")
        return scored_events(plan.records_rounds)


def batch(_python: str, plan: Plan) -> Mapping[str, Any]:
    """Score the rows of a file in every way, in processes of their own."""
    with watching("Files", seconds=0) as watch:
        return scored_files(plan.batch_rows, plan.batch_rounds, watch)


def batching(_python: str, plan: Plan) -> Mapping[str, Any]:
    """Put a load on the server, with requests one by one and together."""
    with watching("Server", seconds=0) as watch:
        watch.says("requests one by one and together")
        return {"rounds": joined_requests(plan.batching.rounds, plan.batching.seconds)}


def raced(field: Field, plan: Starts, watch: Watch) -> dict[str, Any]:
    """Return a field's answers compared, its starts looked into, and its rounds run."""
    compared = compare(field, watch)
    conditions = plan.possible()
    waterfalls = {
        condition.name: _traces(field, condition, plan.traces, watch)
        for condition in (WARM, COLD)
        if condition in conditions
    }
    return field_document(field, list(conditions), compared, starts(field, conditions, watch), waterfalls)


def _traces(field: Field, condition: Condition, count: int, watch: Watch) -> dict[str, Sequence[Phase]]:
    """Return the phases of that start of each contestant that took the median of `count`."""
    watch.says(f"phases, {condition.title}")
    found: dict[str, Sequence[Phase]] = {}
    for each in field.contestants:
        runs = sorted((_trace(field, each, condition) for _ in range(count)), key=lambda run: run[-1].start)
        found[each.name] = runs[count // 2]
    return found


def _trace(field: Field, contestant: Contestant, condition: Condition) -> list[Phase]:
    with TemporaryDirectory(prefix="pilotlight-bench-") as name:
        launch = traced(contestant.launch, Path(name) / "marked")
        with failing(contestant), waiting(launch, condition) as instance:
            answer = instance.first_answer(launch.request(field.path, field.document))
            return phases(instance.log, answer)
