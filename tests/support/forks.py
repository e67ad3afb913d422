"""Running functions in forked children, which may die: for programs that look at many models."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable

from pilotlight.errors import PilotlightError
from pilotlight_cli.sandbox.child.exhaustion import confine, is_exhaustion
from pilotlight_cli.sandbox.limits import Limits, memory_sentence

MEMORY = 4 * 10**9
SECONDS = 60


def outcome(function: Callable[[], str]) -> dict[str, str]:
    """Run a function in a child with limits. Return what it returned as `done`, its error or how it died.

    `refused` is the sentence of a PilotlightError, `raised` the traceback of another error, `died` the child's status.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            _child(function, writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        content = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status or not content:
        return {"died": str(status)}
    found: dict[str, str] = json.loads(content)
    return found


def _child(function: Callable[[], str], writer: int) -> None:
    confine(MEMORY, SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # ONNX Runtime's binding prints some errors
    try:
        found = {"done": function()}
    except PilotlightError as error:
        found = {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - it is the result
        limits = Limits(MEMORY, SECONDS, SECONDS)
        found = {"raised": traceback.format_exc()}
        if is_exhaustion(error):
            found = {"refused": memory_sentence("the model", limits)}
    with os.fdopen(writer, "wb") as stream:
        stream.write(json.dumps(found).encode())
