"""python -m pilotlight_cli.workbench TASK JOB ANSWER: does what the file JOB asks for and writes the file ANSWER."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from pilotlight.errors import PilotlightError
from pilotlight_cli.workbench.job import Answer, Job, UsageError, read_job, write_answer


def main(task: str, job_file: str, answer_file: str) -> None:
    """Do the job; what Pilotlight raises on purpose goes into the answer."""
    warnings.simplefilter("ignore")  # what libraries say of old files shows in the outcome
    try:
        answer = _do(task, json.loads(Path(job_file).read_bytes()))
    except PilotlightError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    Path(answer_file).write_text(json.dumps(answer))


def _do(task: str, document: dict[str, Any]) -> dict[str, Any]:
    if task == "optimize":
        from pilotlight_cli.workbench import onnx_optimizing

        return onnx_optimizing.optimize(document)
    if task == "measure":
        from pilotlight_cli.workbench import onnx_measuring

        return onnx_measuring.measure(document)
    if task == "look":
        return write_answer(_look(read_job(document)))
    raise UsageError(f"the workbench has no task {task!r}")


def _look(job: Job) -> Answer:
    if job.kind == "onnx":
        from pilotlight_cli.workbench import onnx

        return onnx.look(job)
    from pilotlight_cli.workbench import sklearn

    return sklearn.look(job)


if __name__ == "__main__":
    main(*sys.argv[1:])
