"""python -m pilotlight_cli.sandbox.child TASK JOB ANSWER BYTES SECONDS: does what JOB asks for and writes ANSWER.

BYTES of memory, 0 for any, and SECONDS of the processor are what it may take.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import ModelError, PilotlightError
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.sandbox.child.exhaustion import OUT_OF_MEMORY, confine, is_exhaustion
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, read_job, write_findings

# All that is written about a model is read at each start of a function.
LARGEST_ANSWER: Final = 64 * 10**6


def main(task: str, job_file: str, answer_file: str, memory: str, seconds: str) -> None:
    """Do the job; what Pilotlight raises on purpose goes into the answer."""
    confine(int(memory), int(seconds))
    warnings.simplefilter("ignore")  # what libraries say of old files shows in the outcome
    Path(answer_file).write_text(_answer(task, Path(job_file)))


def _answer(task: str, job_file: Path) -> str:
    try:
        return _written(_do(task, json.loads(job_file.read_bytes())))
    except Exception as error:
        if is_exhaustion(error):
            return json.dumps({"error": OUT_OF_MEMORY})
        if isinstance(error, OSError):
            error = ModelError(f"{error.filename or 'a file'} cannot be read: {error.strerror or error}")
        if isinstance(error, RecursionError):
            error = ModelError("the model is nested too deep, or holds itself; train and save it again")
        if not isinstance(error, PilotlightError):
            raise
        return json.dumps({"error": type(error).__name__, "message": str(error)})


def _written(answer: dict[str, Any]) -> str:
    text = json.dumps(answer)
    if len(text) > LARGEST_ANSWER:
        raise ModelError(
            f"what there is to write about the model (names, labels, samples) takes {len(text) // 10**6} MB, expected "
            f"at most {LARGEST_ANSWER // 10**6} MB; save the model with fewer"
        )
    return text


def _do(task: str, document: dict[str, Any]) -> dict[str, Any]:
    if task == "recognise":
        from pilotlight_cli.formats.recognition import recognise, write_recognised

        return write_recognised(recognise(Path(document["path"])))
    if task == "optimize":
        from pilotlight_cli.sandbox.child import onnx_optimizing

        return onnx_optimizing.optimize(document)
    if task == "measure":
        from pilotlight_cli.sandbox.child import onnx_measuring

        return onnx_measuring.measure(document)
    if task == "look":
        return write_findings(_look(read_job(document)))
    raise UsageError(f"the sandbox has no task {task!r}")


def _look(job: Job) -> Findings:
    inspector = import_module(f"pilotlight_cli.sandbox.child.{KINDS[job.kind].inspector}")
    findings: Findings = inspector.look(job)
    return findings


if __name__ == "__main__":
    main(*sys.argv[1:])
