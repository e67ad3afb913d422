"""The hook before the shift, which sends the new version its own golden samples, and those of the one that serves.

Each version's samples come from itself, so that a shift back to an old version is checked by the old version's samples.
"""

from __future__ import annotations

import os
from typing import Any

from callers import check_callers
from hook_report import Clients, run
from shifts import read_shift
from version_checks import Functions, check_samples, read_target


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Report to CodeDeploy whether traffic may go to the new version."""
    return run(event, context.get_remaining_time_in_millis() / 1000, check)


def check(deployment: str, clients: Clients) -> str:
    """Return the finding as a sentence. Raises CheckFailed if the new version is wrong."""
    shift = read_shift(clients.codedeploy(), deployment)
    functions = Functions(clients.functions(), shift.function)
    version = read_target(functions, shift.target)
    seen = check_samples(functions, shift.target, version, float(os.environ["LATENCY_BUDGET_MS"]))
    return f"version {shift.target} of {shift.function} {seen}{check_callers(functions, shift.current, version)}"
