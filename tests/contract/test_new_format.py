"""CONTRIBUTING's recipe for another model format, followed in a copy of the project for one that is made up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT

# A row for the engine and one for the format; the engine is made of no library.
ROWS = """
ENGINES["line"] = Engine("line", "line", (), 1_000_000)
FORMATS["line"] = Format("line", "line", ("line",), "model.line", "line_json", 1, "its numbers")
"""

RUNTIME = '''
"""Lines: a slope and an intercept in JSON."""

import json
from array import array

from pilotlight.model.tensor import Tensor


class Line:
    def __init__(self, slope, intercept, output):
        self.slope, self.intercept, self.output = slope, intercept, output

    def predict(self, inputs, timeout=None):
        values = array("d", (self.slope * x + self.intercept for x in inputs[0].values()))
        return (Tensor(self.output.datatype, (len(values),), values),)


def preload(packages):
    """Nothing takes long here."""


def load(model, folder, threads):
    document = json.loads((folder / model.files[0].name).read_bytes())
    return Line(document["slope"], document["intercept"], model.signature.outputs[0])
'''

RECOGNISER = """

def _recognise_line(path: Path, head: bytes, given: str) -> Recognised | None:
    return Recognised("line", size=path.stat().st_size) if head.startswith(b'{"slope') else None


_RECOGNISERS = (_recognise_line, *_RECOGNISERS)
"""

KIND = """
KINDS["line"] = Kind("line", lambda _name, _found: [])
"""

INSPECTOR = '''
"""Inspects a line."""

from pilotlight import runtimes
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP64
from pilotlight_cli.sandbox.child.samples import fill_outputs, make_samples
from pilotlight_cli.sandbox.job import Findings, provisional_description, runtime_of


def inspect(job):
    signature = Signature((Input("x", FP64, (-1, 1), "features", ("x",)),), (Output("y", FP64, (-1,), "tensor"),))
    runtime = runtime_of("line", signature, job.packages)
    model = provisional_description((job.path,), "line", runtime, signature, ((), ()))
    golden = make_samples(job.golden, signature, {})
    golden = fill_outputs(golden, signature, runtimes.load(model, job.path.parent, 1).predict)
    return Findings("line", job.path, runtime, signature, golden)
'''

# What each step of the recipe adds, to an end of a file or as a file.
CHANGES = {
    "shared/pilotlight/model/formats.py": ROWS,
    "shared/pilotlight/runtimes/line.py": RUNTIME,
    "cli/pilotlight_cli/formats/recognition.py": RECOGNISER,
    "cli/pilotlight_cli/formats/kinds.py": KIND,
    "cli/pilotlight_cli/sandbox/child/line.py": INSPECTOR,
}

# What a function answers, by Lambda's handler in the staged package.
ASK = """
import json, sys
import handler
event = {
    "version": "2.0", "rawPath": "/v2/models/line/infer", "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST"}, "stage": "$default", "domainName": "api.example"},
    "body": json.dumps({"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1.5, 4.0]}]}),
    "isBase64Encoded": False,
}
context = type("Context", (), {"aws_request_id": "1", "get_remaining_time_in_millis": lambda self: 30_000})()
print(handler.lambda_handler(event, context)["body"])
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return the project with the format, as far as a model's way into a function needs it."""
    project = tmp_path / "project"
    for folder in ("cli", "functions", "shared"):
        shutil.copytree(ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in CHANGES.items():
        with (project / name).open("a") as file:
            file.write(content)
    return project


def run(project: Path, program: str, *arguments: str | Path, path: str = "", **environ: str) -> str:
    search = os.pathsep.join([str(project / "shared"), str(project / "cli"), path])
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": search, **environ},
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_row_and_a_module_in_each_room_take_a_model_of_another_format_to_a_function(
    copied: Path, tmp_path: Path
) -> None:
    model, store = tmp_path / "line.json", (tmp_path / "store").as_uri()
    model.write_text('{"slope": 2.0, "intercept": -1.0}')
    command = "from pilotlight_cli.main import app; app()"
    run(copied, command, "publish", model, "--name", "line", "--store", store)
    run(copied, command, "pin", "line", "--store", store, "--lock", copied / "model.lock")
    lock = json.loads((copied / "model.lock").read_bytes())
    assert lock["runtime"] == {"name": "line", "engine": "line", "packages": {}}
    assert lock["artifact"]["files"][0]["name"] == "model.line"

    stage = (
        "import sys; from pathlib import Path; from pilotlight_cli.staging.sources import stage_sources\n"
        "stage_sources('aws', *map(Path, sys.argv[1:]))"
    )
    run(copied, stage, copied / "model.lock", tmp_path / "staged")
    answer = run(tmp_path / "staged", ASK, path=str(tmp_path / "staged"), PILOTLIGHT_STORE=store, TMPDIR=str(tmp_path))
    assert json.loads(answer.splitlines()[-1])["outputs"][0]["data"] == [2.0, 7.0]
