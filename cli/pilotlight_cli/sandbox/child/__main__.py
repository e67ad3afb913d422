"""python -m pilotlight_cli.sandbox.child TASK JOB RESULT BYTES SECONDS: run the job in JOB and write RESULT.

BYTES of memory, 0 for no limit, and SECONDS of processor time are its limits.

python -m pilotlight_cli.sandbox.child wait TASK KIND: import what the task on a kind of file needs, then wait for those
five as a JSON list on the standard input. Nothing of a model is read before its limits hold.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError, PilotlightError
from pilotlight.model.formats import ENGINES, FORMATS
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.sandbox.child.exhaustion import OUT_OF_MEMORY, confine, is_exhaustion
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, read_job, write_findings

# A function reads the whole description of its model at each start.
LARGEST_RESULT: Final = 64 * 10**6

# The module and the function of a task on a document, which returns one.
_TASKS: Final = {
    "compare": ("comparing", "compare"),
    "measure": ("onnx_measuring", "measure"),
    "needs": ("needs", "needs"),
    "optimize": ("onnx_optimizing", "optimize"),
    "repair": ("onnx_repair", "repair"),
}


def main(task: str, job_file: str, result_file: str, memory: str, seconds: str) -> None:
    """Run the job. A PilotlightError goes into the result."""
    confine(int(memory), int(seconds))
    warnings.simplefilter("ignore")  # of libraries about old files: the result shows whether they matter
    Path(result_file).write_text(_run(task, Path(job_file)))


def wait(task: str, kind: str) -> None:
    """Import what a task needs, then run the job that comes; end if none does."""
    with suppress(Exception):  # the job meets it again, and reports it
        _import(task, kind)
    if job := sys.stdin.readline():
        arguments: list[str] = json.loads(job)
        os.chdir(Path(arguments[1]).parent)
        main(*arguments)


def _import(task: str, kind: str) -> None:
    if task == "recognise":
        import_module("pilotlight_cli.formats.recognition")
        return
    import_module(f"pilotlight_cli.sandbox.child.{KINDS[kind].inspector}")
    engine = FORMATS[kind if kind in FORMATS else "pickle"].engines[-1]
    import_module(f"pilotlight.runtimes.{ENGINES[engine].module}").preload({})


def _run(task: str, job_file: Path) -> str:
    try:
        return _serialise(_do(task, json.loads(job_file.read_bytes())))
    except Exception as error:
        if is_exhaustion(error):
            return json.dumps({"error": OUT_OF_MEMORY})
        if isinstance(error, OSError):
            error = ModelError(f"{error.filename or 'a file'} cannot be read: {error.strerror or error}")
        if isinstance(error, RecursionError):
            error = ModelError("the model is nested too deeply or contains itself; train and save it again")
        if not isinstance(error, PilotlightError):
            raise
        return json.dumps({"error": type(error).__name__, "message": str(error)})


def _serialise(result: dict[str, Any]) -> str:
    text = json.dumps(result)
    if len(text) > LARGEST_RESULT:
        raise ModelError(
            f"the description of the model (names, labels, samples) takes {len(text) // 10**6} MB, expected "
            f"at most {LARGEST_RESULT // 10**6} MB; save the model with fewer"
        )
    return text


def _do(task: str, document: dict[str, Any]) -> dict[str, Any]:
    if task == "recognise":
        from pilotlight_cli.formats.recognition import recognise, write_recognised

        return write_recognised(recognise(Path(document["path"]), document["given"]))
    if task == "describe":
        from pilotlight_cli.converting.sources import describe, write_source

        return write_source(describe(Path(document["path"])))
    if task == "inspect":
        return write_findings(_inspect(read_job(document)))
    if task not in _TASKS:
        raise UsageError(f"the sandbox has no task {task!r}")
    module, function = _TASKS[task]
    result: dict[str, Any] = getattr(import_module(f"pilotlight_cli.sandbox.child.{module}"), function)(document)
    return result


def _inspect(job: Job) -> Findings:
    inspector = import_module(f"pilotlight_cli.sandbox.child.{KINDS[job.kind].inspector}")
    findings: Findings = inspector.inspect(job)
    return findings


if __name__ == "__main__":
    if sys.argv[1] == "wait":
        wait(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
