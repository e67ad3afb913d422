"""The copy of a module that notes the time after each of its statements."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from http_wire import Reply
from instances import FirstAnswer
from marks import Phase, marked, phases

SOURCE = '''\
"""A module."""
from __future__ import annotations
import math
value = math.sqrt(
    4)
def where() -> str:
    return __file__
print(value, where())
'''


def run(source: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_marked_module_does_what_it_did_and_says_that_it_lies_where_it_lay() -> None:
    printed, _ = run(marked(SOURCE, Path("/there/main.py")))

    assert printed == "2.0 /there/main.py\n"


def test_a_marked_module_says_when_each_of_its_statements_had_ended() -> None:
    _, said = run(marked(SOURCE, Path("/there/main.py")))

    marks = json.loads(said.strip().partition(" ")[2])
    assert [name for name, _ in marks] == [
        "",
        "import math",
        "value = math.sqrt(4)",
        "def where() -> str:",
        *marks[4][:1],
    ]
    assert [at for _, at in marks] == sorted(at for _, at in marks)


def log(marks: object, *lines: str) -> str:
    return "\n".join([f"pilotlight-bench-marks {json.dumps(marks)}", *lines])


def test_what_comes_before_and_after_a_module_is_a_phase_too() -> None:
    answer = FirstAnswer(began=100.0, seconds=5.0, reply=Reply(200, b""))

    found = phases(log([("", 101.0), ("import boto3", 103.0)]), answer)

    assert found == [
        Phase("Python and the platform's runtime", 0, 1.0),
        Phase("import boto3", 1.0, 2.0),
        Phase("first request", 3.0, 2.0),
    ]


def test_a_fetch_and_an_import_at_once_are_shown_at_once() -> None:
    took = {"import": 500, "lock": 500, "fetch": 1000, "runtime": 2000, "load": 2500, "total": 3500}
    record = {"event": "cold_start", "state": "ready", "phases_ms": took}
    answer = FirstAnswer(began=100.0, seconds=6.0, reply=Reply(200, b""))
    marks = [("", 101.0), ("import core", 101.5), ("service = boot(...)", 104.5)]

    found = phases(log(marks, json.dumps(record, separators=(",", ":"))), answer)

    assert found[2:-1] == [
        Phase("read the lock", 1.5, 0.5),
        Phase("fetch and check the model", 2.0, 1.0),
        Phase("get the runtime ready", 2.0, 2.0),
        Phase("load the model", 4.0, 0.5),  # its own time has the wait for the import in it
    ]
