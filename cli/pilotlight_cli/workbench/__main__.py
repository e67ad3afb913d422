"""python -m pilotlight_cli.workbench JOB ANSWER: reads the one file and writes the other."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight_cli.workbench.job import Answer, Job, read_job, write_answer


def main(job_file: str, answer_file: str) -> None:
    """Do the job; what Pilotlight raises on purpose goes into the answer."""
    warnings.simplefilter("ignore")  # what libraries say of old files shows in the outcome
    job = read_job(json.loads(Path(job_file).read_bytes()))
    try:
        answer = write_answer(_look(job))
    except PilotlightError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    Path(answer_file).write_text(json.dumps(answer))


def _look(job: Job) -> Answer:
    if job.kind == "onnx":
        from pilotlight_cli.workbench import onnx

        return onnx.look(job)
    from pilotlight_cli.workbench import sklearn

    return sklearn.look(job)


if __name__ == "__main__":
    main(*sys.argv[1:])
