"""The benchmark's code at work: one short round with the real contestants, and what it does when one of them fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contestants import Contestant, Field, google
from http_wire import Reply, post
from instances import Launch, StartError, waiting
from pilotlight_cli.hostenv import isolated_python
from processes import is_running
from race import Race, RaceError, race, same
from report import table, write_results

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc, which Linux alone has")

NAMES = ["tutorial_function", "fastapi_uvicorn", "pilotlight"]

SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = os.environ["ANSWER"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def contestant(name: str, code: str, folder: Path, answer: object = None) -> Contestant:
    return Contestant(name, name, Launch([*isolated_python(), "-c", code], folder, {"ANSWER": json.dumps(answer)}))


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with google() as found:
        yield found


@pytest.fixture(scope="module")
def found(field: Field) -> Race:
    return race(field, rounds=1, seconds=0.2)


def test_all_contestants_give_the_same_answer_and_are_measured(found: Race) -> None:
    (measured,) = found.rounds

    assert list(measured) == list(found.stop_seconds) == NAMES
    for each in measured.values():
        assert each.first_answer > 0
        assert each.requests_per_second > 0
        assert each.memory > 20_000_000  # ONNX Runtime is in it
    assert found.asked["pilotlight"] == {"storage": 1, "metadata": 1}
    assert found.asked["fastapi_uvicorn"] == found.asked["tutorial_function"]


def test_the_table_and_the_file_have_every_contestant(field: Field, found: Race, tmp_path: Path) -> None:
    file = write_results(tmp_path / "results/gcp.json", field, found, {"cpus": 2})

    document = json.loads(file.read_text())
    assert list(document["summary"]) == NAMES
    assert len(document["rounds"]) == 1
    assert document["versions"]["onnxruntime"]
    assert table(field, found).row_count == len(NAMES)


def test_peers_and_pilotlight_run_on_the_same_libraries(field: Field) -> None:
    common = {each.launch.environ["PYTHONPATH"].split(":")[1] for each in field.contestants}

    assert len(common) == 1


def test_a_contestant_that_answers_otherwise_ends_the_race(tmp_path: Path) -> None:
    right = {"prediction": "a", "probabilities": [0.25, 0.75]}
    wrong = {"prediction": "b", "probabilities": [0.25, 0.75]}
    both = (contestant("one", SERVER, tmp_path, right), contestant("other", SERVER, tmp_path, wrong))

    with pytest.raises(RaceError, match="other answers"):
        race(Field(both, {}, dict), rounds=1, seconds=0.1)


def test_a_contestant_that_does_not_start_is_shown_with_its_own_words(tmp_path: Path) -> None:
    broken = contestant("broken", "raise SystemExit('no such bucket')", tmp_path)

    with pytest.raises(RaceError, match="(?s)broken: no answer.*no such bucket"):
        race(Field((broken,), {}, dict), rounds=1, seconds=0.1)


def test_answers_are_the_same_to_a_millionth() -> None:
    def reply(probability: float) -> Reply:
        return Reply(200, json.dumps({"prediction": "a", "probabilities": [probability], "more": 1}).encode())

    assert same(reply(0.5), reply(0.5000001))
    assert not same(reply(0.5), reply(0.50001))


def test_nothing_is_left_of_a_server(tmp_path: Path) -> None:
    launch = contestant("one", SERVER, tmp_path, {}).launch
    with waiting(launch) as instance:
        instance.first_answer(post("/predict", {}))
        pid = instance.pid
        assert is_running(pid)

    assert not is_running(pid)


def test_a_server_that_was_never_told_to_start_is_gone_too(tmp_path: Path) -> None:
    with waiting(contestant("one", SERVER, tmp_path, {}).launch) as instance:
        pid = instance.pid

    assert not is_running(pid)


def test_a_start_that_fails_is_an_error_of_its_own(tmp_path: Path) -> None:
    broken = contestant("broken", "raise SystemExit(3)", tmp_path)

    with waiting(broken.launch) as instance, pytest.raises(StartError, match="no answer"):
        instance.first_answer(post("/predict", {}))
