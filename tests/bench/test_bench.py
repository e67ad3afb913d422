"""The benchmark's code at work: every contestant once, and what it does when one of them fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import contestants
import file_cache
import packages
from conditions import COLD, WARM, Condition
from contestants import Contestant, Field, agree
from instances import Launch, StartError, waiting
from marks import Phase
from parts import raced
from pilotlight_cli.hostenv import PYTHON
from plans import Starts
from processes import descendants, is_running, lambda_function, wait_until_ended
from progress import Watch
from race import RaceError, compare, loads, starts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc, which Linux alone has")

ANSWER = """
import json
def lambda_handler(event, context):
    return {{"statusCode": 200, "body": json.dumps({answer})}}
"""
FEATURES = {"features": [1.0]}


def watch(seconds: float = 60) -> Watch:
    """Return a watch that tells nobody and whose clock stands still."""
    return Watch(seconds, lambda _: None, lambda: 0.0)


def contestant(name: str, code: str, folder: Path) -> Contestant:
    launch = Launch("lambda", PYTHON, lambda_function(folder / name, code), "handler.lambda_handler")
    return Contestant(name, name, launch, size=1)


def answering(name: str, answer: object, folder: Path) -> Contestant:
    return contestant(name, ANSWER.format(answer=answer), folder)


def field(*found: Contestant) -> Field:
    return Field("test", found, "/predict", FEATURES, {}, dict, agree)


@pytest.fixture(scope="module")
def aws() -> Iterator[Field]:
    with contestants.aws(packages.functions_python()) as found:
        yield found


@pytest.fixture(scope="module")
def google() -> Iterator[Field]:
    with contestants.google(packages.functions_python()) as found:
        yield found


@pytest.fixture(scope="module")
def found(aws: Field) -> dict[str, Any]:
    return raced(aws, Starts({WARM: 1}, traces=1, seconds=60), watch())


def test_on_aws_all_give_the_same_answer_and_are_measured(aws: Field, found: dict[str, Any]) -> None:
    names = [each.name for each in aws.contestants]
    (measured,) = found["starts"]["all-warm"]
    assert sorted(measured) == sorted(names)
    assert found["asked"]["tutorial_handler"] == {"store": 2}
    assert found["asked"]["pilotlight"] == found["asked"]["pilotlight_binding"] == {"store": 1}
    assert found["asked"]["pilotlight_floor"] == {"store": 0}
    assert all(each["first_answer"] > 0 and each["peak"] > 5_000_000 for each in measured.values())
    for phases in found["waterfalls"]["all-warm"].values():
        assert phases[0]["name"] == "Python and the platform's runtime"
        assert phases[-1]["name"] == "first request"


def test_our_own_start_is_told_by_its_own_record(found: dict[str, Any]) -> None:
    names = [phase["name"] for phase in found["waterfalls"]["all-warm"]["pilotlight"]]
    assert {"read the lock", "fetch and check the model", "get the runtime ready", "load the model"} <= set(names)


def test_on_google_cloud_all_give_the_same_answer_and_are_measured(google: Field) -> None:
    found = compare(google, watch())
    (measured,) = loads(google, 1, 2.0, watch())

    assert found.asked["pilotlight"] == {"storage": 1, "metadata": 1}
    for other in ("tutorial_function", "fastapi_uvicorn"):
        assert found.asked[other]["storage"] == 2
        assert found.asked[other]["metadata"] >= 1  # Google's own libraries ask again where an answer is late
    assert "server" in measured
    for each in measured.values():
        assert each["requests_per_second"] > 0
        assert each["memory"] > 20_000_000  # ONNX Runtime is in it


def test_all_contestants_have_the_same_versions_of_what_they_share(aws: Field, google: Field) -> None:
    assert aws.versions["onnxruntime"] == google.versions["onnxruntime"]  # each field refuses two of its own
    assert {"boto3", "mangum", "scikit-learn"} <= aws.versions.keys()
    assert {"fastapi", "functions-framework", "google-cloud-storage"} <= google.versions.keys()


def test_a_contestant_that_answers_otherwise_ends_the_race(tmp_path: Path) -> None:
    one = answering("one", {"prediction": "a", "probabilities": [0.25, 0.75]}, tmp_path)
    other = answering("other", {"prediction": "b", "probabilities": [0.25, 0.75]}, tmp_path)

    with pytest.raises(RaceError, match="other answers"):
        compare(field(one, other), watch())


def test_a_contestant_that_does_not_start_is_shown_with_its_own_words(tmp_path: Path) -> None:
    broken = contestant("broken", "raise SystemExit('no such bucket')", tmp_path)

    with pytest.raises(RaceError, match="(?s)broken: no answer.*no such bucket"):
        compare(field(broken), watch())


def test_rounds_go_on_as_long_as_there_is_time_and_there_is_one_at_least(tmp_path: Path) -> None:
    one = answering("one", {}, tmp_path)
    late = Watch(0, lambda _: None, iter([0.0, *[1.0] * 9]).__next__)

    assert len(starts(field(one), {WARM: 2}, watch())["all-warm"]) == 2
    assert len(starts(field(one), {WARM: 2}, late)["all-warm"]) == 1


def test_each_round_begins_with_another_contestant(tmp_path: Path) -> None:
    both = field(answering("one", {}, tmp_path), answering("other", {}, tmp_path))

    first, second = starts(both, {WARM: 2}, watch())["all-warm"]

    assert list(first) == ["one", "other"]
    assert list(second) == ["other", "one"]


def test_files_are_in_the_cache_where_they_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    one, other = (
        contestant(name, f"open({str(log)!r}, 'a').write('{name} ')\n{ANSWER.format(answer={})}", tmp_path)
        for name in ("one", "other")
    )

    def drop(_: object) -> None:
        with log.open("a") as file:
            file.write("drop ")

    monkeypatch.setattr(file_cache, "drop", drop)

    found = starts(field(one, other), {COLD: 2, WARM: 2}, watch())

    assert [len(rounds) for rounds in found.values()] == [2, 2]
    first = "one other one other drop one drop other"
    second = "other one other one drop other drop one"
    assert log.read_text().split() == f"{first} {second}".split()


def test_answers_are_the_same_to_a_millionth() -> None:
    def body(probability: float) -> bytes:
        return json.dumps({"prediction": "a", "probabilities": [probability], "more": 1}).encode()

    assert agree(body(0.5), body(0.5000001))
    assert not agree(body(0.5), body(0.50001))


def test_a_function_sees_the_memory_at_which_lambda_gives_it_its_processors(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "def lambda_handler(event, context):\n"
        "    return {'statusCode': 200, 'body': os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']}\n"
    )
    launch = contestant("one", code, tmp_path).launch

    assert launch.environ(Condition(0.5, cold=False))["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "884"
    with waiting(launch) as instance:
        assert int(instance.first_answer(launch.request("/", {})).reply.body) == WARM.lambda_memory


def test_nothing_is_left_of_a_server(tmp_path: Path) -> None:
    launch = answering("one", {}, tmp_path).launch
    with waiting(launch) as instance:
        instance.first_answer(launch.request("/predict", {}))
        pids = [instance.pid, *descendants(instance.pid)]
        assert len(pids) > 1
        assert all(map(is_running, pids))

    wait_until_ended(pids, 60)


def test_a_server_that_was_never_told_to_start_is_gone_too(tmp_path: Path) -> None:
    with waiting(answering("one", {}, tmp_path).launch) as instance:
        pid = instance.pid

    assert not is_running(pid)


def test_a_start_that_fails_is_an_error_of_its_own(tmp_path: Path) -> None:
    launch = contestant("broken", "raise SystemExit(3)", tmp_path).launch

    with waiting(launch) as instance, pytest.raises(StartError, match="no answer"):
        instance.first_answer(launch.request("/predict", {}))


def test_statements_follow_one_another(found: dict[str, Any]) -> None:
    phases = [Phase(**each) for each in found["waterfalls"]["all-warm"]["tutorial_handler"]]
    assert all(one.start <= other.start for one, other in pairwise(phases))
    assert [phase.name for phase in phases if "boto3" in phase.name] == ["import boto3", "s3 = boto3.client('s3')"]
