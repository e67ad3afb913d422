"""What the log lines of an experiment say of each treatment, and when they say nothing."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy.stats import chi2_contingency, chisquare
from typer.testing import CliRunner

from doubles import description
from local_lock import write_next
from pilotlight.experiments.assignment import BUCKETS
from pilotlight.experiments.lock import ExperimentLock, Treatment, control_of
from pilotlight.model.lock import load_lock
from pilotlight_cli.experimenting.status import status
from pilotlight_cli.experimenting.tally import Cluster, Variant, tally
from pilotlight_cli.experimenting.verdicts import Verdict, judge, ratio_p
from pilotlight_cli.main import app
from repository import LOCK

CONTROL = description()
FIFTH = ((0, 2000),)
LOCKED = ExperimentLock(
    "salt", "header:x-user-id", control_of(CONTROL), (Treatment(replace(CONTROL, version=4), FIFTH),)
)
TREATED = LOCKED.treatments[0].variant
SHARES = {"small": 0.6, "large": 0.4}

# Further runs of equal versions are set in the environment.
RUNS, LOOKS = int(os.environ.get("EXPERIMENT_TEST_RUNS", "10")), (100, 200, 400, 600)

Line = dict[str, Any]


def traffic(
    units: int = 1500,
    *,
    seed: int = 0,
    pinned: ExperimentLock = LOCKED,
    each: int = 3,
    control: dict[str, Any] | None = None,
    treated: dict[str, Any] | None = None,
) -> list[Line]:
    """Return the lines of random units. `control` and `treated` change what the usual model answers.

    `client` and `server` are rates of errors, `times` how long it takes, `shares` of its labels, `lost` of lines.
    """
    random, lines = Random(seed), list[Line]()  # noqa: S311
    for _ in range(units):
        bucket = random.randrange(BUCKETS)
        treatment = pinned.treatment(bucket)
        has: dict[str, Any] = {"client": 0.02, "server": 0.01, "times": 1.0, "shares": SHARES, "lost": 0.0}
        has |= (treated if treatment else control) or {}
        if random.random() < has["lost"]:
            continue
        lines += [_line(random, bucket, treatment.variant if treatment else "control", has) for _ in range(each)]
    return lines


def _line(random: Random, bucket: int, variant: str, has: dict[str, Any]) -> Line:
    drawn = random.random()
    status = 400 if drawn < has["client"] else 500 if drawn < has["client"] + has["server"] else 200
    labels = random.choices(list(has["shares"]), list(has["shares"].values()), k=2)
    return {
        "event": "request",
        "experiment": "salt",
        "variant": variant,
        "assigned": variant,
        "bucket": bucket,
        "status": status,
        "latency_ms": random.lognormvariate(2, 0.5) * has["times"],
        "rows": 2 if status == 200 else 0,
        **({"labels": {label: labels.count(label) for label in set(labels)}} if status == 200 else {}),
    }


def verdict(lines: list[Line], pinned: ExperimentLock = LOCKED) -> Verdict:
    (found,) = judge(tally(lines, pinned), by_request=pinned.unit == "request")
    return found


SWAPPED = {"small": 0.4, "large": 0.6}

OUTCOMES: dict[str, tuple[list[Line], str, str]] = {
    "as good": (traffic(), "promote", "neither more errors nor more time"),
    "better": (traffic(treated={"client": 0.0, "server": 0.0, "times": 0.3}), "promote", "neither more errors"),
    "more 4xx": (traffic(treated={"client": 0.2}), "roll back", "got 4xx, beside"),
    "more 5xx": (traffic(treated={"server": 0.1}), "roll back", "got 5xx, beside"),
    "only 5xx": (traffic(300, treated={"client": 0, "server": 1.0}), "roll back", "got 5xx, beside"),
    "three times slower": (traffic(treated={"times": 3.0}), "roll back", "takes"),
    "a bit slower": (traffic(treated={"times": 1.2}), "promote", "neither"),
    "swapped labels": (traffic(treated={"shares": SWAPPED}), "hold", "the answers differ: label"),
    "no traffic": ([], "hold", f"no request of a unit of {TREATED}"),
    "no treatment": (traffic(treated={"lost": 1.0}), "hold", f"no request of a unit of {TREATED}"),
    "low traffic": (traffic(200), "hold", "a verdict needs 100 of each"),
    "lost lines": (traffic(treated={"lost": 0.4}), "hold", "do not have the ratio of the shares"),
    "lost lines of the control": (traffic(control={"lost": 0.4}), "hold", "do not have the ratio"),
    "not loaded": ([line | {"variant": "control"} for line in traffic()], "hold", "see why that is not loaded"),
    "no answers": ([line | {"status": 400} for line in traffic()], "hold", "no request was answered"),
    "no labels": ([line | {"labels": None} for line in traffic()], "promote", "; answers not compared"),
}
BROKEN: dict[str, Line] = {
    "the status None": {"status": None},
    "the latency nan": {"latency_ms": nan},
    "the latency None": {"latency_ms": None},
    "-1 rows": {"rows": -1},
    "a score that is not finite": {"score": nan},
    "the labels {'small': 1}": {"labels": {"small": 1}, "status": 200, "rows": 2},
    "no bucket": {"bucket": None},
}
GOOD = traffic(500)
LAST = next(line for line in GOOD if line["assigned"] == TREATED)
OUTCOMES |= {
    name: ([*GOOD, LAST | broken], "hold", f"1 lines of {TREATED} cannot be counted: ")
    for name, broken in BROKEN.items()
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_traffic_has_its_outcome_and_says_why(name: str) -> None:
    lines, outcome, text = OUTCOMES[name]
    found = verdict(lines)
    assert (found.outcome, text if text in found.sentence else found.sentence) == (outcome, text)
    if name in BROKEN:
        assert name in found.sentence


def test_equal_versions_are_rarely_called_worse_or_different_however_often_one_looks() -> None:
    """The requests of a unit are alike, which a comparison by request would take for evidence."""
    false = 0
    for seed in range(RUNS):
        random, lines = Random(seed), traffic(600, seed=seed, each=1)  # noqa: S311
        alike = [[line] * random.choice((1, 1, 12)) for line in lines]
        looks = (judge(tally([one for own in alike[:end] for one in own], LOCKED), by_request=False) for end in LOOKS)
        false += any(test.is_found for (found,) in looks for test in found.tests)
    assert false <= RUNS * 0.05


def test_only_requests_since_the_shares_changed_are_compared() -> None:
    larger = replace(LOCKED, treatments=(Treatment(LOCKED.treatments[0].model, ((0, 4000),)),))
    before, after = traffic(seed=1, treated={"server": 1.0, "client": 0}), traffic(seed=2, pinned=larger)
    found = tally([*before, *after], larger)
    whole = sum(one.total("requests") for one in found.variants)
    assert found.earlier + whole == len(before) + len(after)
    assert whole > len(after) - 100
    (judged,) = judge(found, by_request=False)
    assert judged.outcome == "promote"
    (judged,) = judge(tally(before, larger), by_request=False)  # nobody released the larger share
    assert (judged.outcome, "release the function with this file" in " ".join(judged.missing)) == ("hold", True)


def _variant(buckets: int, seen: int) -> Variant:
    return Variant("any", buckets, {number: Cluster() for number in range(seen)})


@pytest.mark.parametrize("seen", [(400, 100), (420, 60), (7000, 1500), (7300, 1900)])
def test_the_check_of_the_ratio_is_scipys(seen: tuple[int, int]) -> None:
    """Of buckets, which are seen or not, homogeneity; of requests, which are all, the goodness of fit."""
    one, other = _variant(8000, seen[0]), _variant(2000, seen[1])
    table = [[seen[0], 8000 - seen[0]], [seen[1], 2000 - seen[1]]]
    by_bucket = chi2_contingency(table, correction=False).pvalue
    by_request = chisquare(seen, [0.8 * sum(seen), 0.2 * sum(seen)]).pvalue
    assert ratio_p(one, other, by_request=False) == pytest.approx(by_bucket, rel=1e-9)
    assert ratio_p(one, other, by_request=True) == pytest.approx(by_request, rel=1e-9)


@pytest.mark.parametrize("seen", [(0, 0), (99, 0), (8000, 2000)])
def test_the_ratio_is_not_checked_with_few_units_or_where_all_were_seen(seen: tuple[int, int]) -> None:
    assert ratio_p(_variant(8000, seen[0]), _variant(2000, seen[1]), by_request=False) is None


def test_each_request_is_a_unit_of_its_own_where_the_experiment_says_so() -> None:
    pinned = replace(LOCKED, unit="request")
    lines = traffic(200, pinned=pinned)
    assert sum(len(one.clusters) for one in tally(lines, pinned).variants) == len(lines)
    assert verdict(lines, pinned).outcome == "promote"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return the sample's lock with an experiment beside it, that gives a fifth to version 2."""
    path = Path(shutil.copy(LOCK, tmp_path))
    write_next(path, "salt", FIFTH)
    return path


@pytest.fixture
def written(lock: Path) -> str:
    """Return log lines among the platform's."""
    name = f"{load_lock(lock).model.name}:2"
    lines = [json.dumps(line).replace(TREATED, name) for line in traffic(treated={"server": 0.3})]
    return "\n".join(["START RequestId: 1", '{"event": "cold_start"}', *lines, ""])


def test_the_command_shows_the_variants_with_plots_and_reads_stdin(lock: Path, written: str) -> None:
    arguments = ["experiment", "status", "--lines", "-", "--lock", str(lock)]
    shown = CliRunner().invoke(app, arguments, input=written)
    assert shown.exit_code == 0, shown.output
    for text in ("Experiment salt: running", "breast-cancer:2  20 %", "roll back breast-cancer:2", "small", "█████"):
        assert text in shown.stdout, shown.stdout

    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"], input=written).stdout)
    control, treatment = document["variants"]
    assert (control["variant"], treatment["weight"]) == ("control", 20.0)
    assert sum(one["requests"] for one in document["variants"]) == 4500
    assert treatment["labels"]["small"] == pytest.approx(0.6, abs=0.1)
    assert treatment["latency_ms"]["p50"] < treatment["latency_ms"]["p99"]
    (found,) = document["verdicts"]
    assert found["outcome"] == "roll back"
    assert [one["kind"] for one in found["tests"]] == ["4xx", "5xx", "latency", "label large", "label small"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "expected --env"),
        (["--env", "dev", "--lines", "-"], "expected --env"),
        (["--lines", "-", "--since", "2h"], "expected --env"),
        (["--lines", "-"], "start one with 'pilotlight experiment pin'"),
    ],
)
def test_the_command_says_what_it_needs(tmp_path: Path, arguments: list[str], text: str) -> None:
    path = Path(shutil.copy(LOCK, tmp_path))
    done = CliRunner().invoke(app, ["experiment", "status", "--lock", str(path), *arguments])
    assert (done.exit_code, text in " ".join(done.output.split())) == (2, True), done.output


def test_the_phase_is_that_of_the_moment() -> None:
    pinned = replace(LOCKED, start="2026-12-01T00:00:00Z", end="2026-12-08T00:00:00Z")
    moments = [datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 8, tzinfo=UTC)]
    assert [status([], pinned, now).phase for now in moments] == ["not started", "running", "ended"]
