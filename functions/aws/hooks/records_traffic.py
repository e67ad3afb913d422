"""The hook before a shift of records, which asks the new version whether it serves its model.

It sends no records, whose results would reach the destination. The deployment has sent the golden samples to the same
model in its verification.
"""

from __future__ import annotations

from typing import Any

from hook_report import Clients, run
from shifts import read_shift
from version_checks import READY_SECONDS, CheckFailed, Functions, read_target

# A warmer's event, which the function answers with its readiness.
_READINESS = {"warmer": True}
_POLL_SECONDS = 0.5


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Report to CodeDeploy whether records may go to the new version."""
    return run(event, context.get_remaining_time_in_millis() / 1000, check)


def check(deployment: str, clients: Clients) -> str:
    """Return the finding as a sentence. Raises CheckFailed if the new version is wrong."""
    shift = read_shift(clients.codedeploy(), deployment)
    functions = Functions(clients.functions(), shift.function)
    version = read_target(functions, shift.target)
    wait_until_ready(functions, shift.target)
    return f"version {shift.target} of {shift.function} serves {version.model.name}:{version.model.version}"


def wait_until_ready(functions: Functions, qualifier: str) -> None:
    """Wait for the model, which may load after the init phase. Raises CheckFailed if it does not."""
    deadline = functions.clock() + READY_SECONDS
    while True:
        document, _ = functions.invoke(qualifier, _READINESS)
        status = document.get("status") if isinstance(document, dict) else None
        if status == "ready":
            return
        if functions.clock() > deadline:
            raise CheckFailed(f"{functions.name}:{qualifier} is not ready: {document}")
        functions.sleep(_POLL_SECONDS)
