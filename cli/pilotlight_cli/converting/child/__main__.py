"""python -m pilotlight_cli.converting.child TASK JOB RESULT BYTES SECONDS: run the job in JOB, write RESULT.

BYTES of memory, 0 for no limit, and SECONDS of processor time are its limits. `convert` writes model.onnx and rows.npz,
the rows with the library's answers, into the job's folder; `compare` compares these where the model will be served;
`quantize` writes another model, and measures both.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight_cli.converting.child.compare import compare, document, read_rows
from pilotlight_cli.converting.child.errors import CannotConvert
from pilotlight_cli.converting.child.rows import Given
from pilotlight_cli.sandbox.child.exhaustion import OUT_OF_MEMORY, confine, is_exhaustion

if TYPE_CHECKING:
    from pilotlight_cli.converting.child.attempts import Proven

NETWORKS = ("exported", "keras", "torchscript")
MODEL, ROWS = "model.onnx", "rows.npz"


def main(task: str, job_file: str, result_file: str, memory: str, seconds: str) -> None:
    """Run the job. An error of the model goes into the result."""
    confine(int(memory), int(seconds))
    warnings.simplefilter("ignore")  # of libraries about old files: the comparison shows whether they matter
    job = json.loads(Path(job_file).read_text())
    try:
        result = _TASKS[task](job)
    except CannotConvert as error:
        result = {"error": "ModelError", "message": str(error)}
    except Exception as error:
        if not is_exhaustion(error):
            raise
        result = {"error": OUT_OF_MEMORY}
    Path(result_file).write_text(json.dumps(result))


def _compare(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["folder"])
    return document(compare(str(folder / MODEL), read_rows(folder / ROWS)))


def _convert(job: dict[str, Any]) -> dict[str, Any]:
    from importlib.metadata import version

    from onnx import save

    folder = Path(job["folder"])
    given = Given(**job["given"]) if job["given"] else None
    proven = _prove(Path(job["path"]), job["form"], given, job["count"])
    save(proven.model, str(folder / MODEL))
    proven.rows.save(folder / ROWS)
    libraries = {name: version(name) for name in job["libraries"]}
    return {"libraries": libraries, "thresholds": len(proven.rows.features), "notes": list(proven.notes)}


def _prove(path: Path, form: str, given: Given | None, count: int) -> Proven:
    if form in NETWORKS:
        from pilotlight_cli.converting.child import networks

        return networks.prove(path, form, given, count)
    from pilotlight_cli.converting.child.attempts import prove
    from pilotlight_cli.converting.child.loading import load

    return prove(load(path, form), given, count)


def _quantize(job: dict[str, Any]) -> dict[str, Any]:
    from pilotlight_cli.converting.child.quantizing import quantize

    return quantize(job)


_TASKS = {"compare": _compare, "convert": _convert, "quantize": _quantize}

if __name__ == "__main__":
    main(*sys.argv[1:])
