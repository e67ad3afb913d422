"""The AWS Lambda function that scores whole buckets: for a state machine, and for S3 Batch Operations.

It starts as the predict function does, whose modules are in the same package.
"""

from __future__ import annotations

import gc
import time

_STARTED = time.monotonic()  # the imports below are the first phase of a cold start
gc.disable()  # a start makes next to no garbage, and searching for it again and again takes time

import os
from pathlib import Path
from typing import Any

import execution_environment
from pilotlight.boot import boot

_FOLDER = Path(__file__).parent
_OUTPUT = os.environ.pop("PILOTLIGHT_BATCH_OUTPUT", "")
_SERVICE, _LOADER = boot(execution_environment.platform(_FOLDER, _STARTED, os.environ), os.environ)
from batch_operations import Invocations, is_invocation  # imports pyarrow, which takes longer than the rest of a start
from batch_tasks import Tasks

_TASKS = Tasks(_SERVICE.plane, (_FOLDER / "model.lock").read_bytes())
_INVOCATIONS = Invocations(_TASKS, _OUTPUT)
execution_environment.finish_init(_LOADER, os.environ)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:  # noqa: ANN401, ARG001 - awslambdaric has no types
    """Do what an event asks for. Raise ValueError for any other event, and what a state machine's task raises."""
    try:
        return _INVOCATIONS.answer(event) if is_invocation(event) else _TASKS.do(event)
    finally:
        if _LOADER.state == "failed":  # after the init phase: this environment could never score a shard
            raise SystemExit("the model cannot be served; Lambda starts again in a new execution environment")
