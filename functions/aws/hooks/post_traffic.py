"""The hook after the shift, which checks that the alias routes all traffic to the new version."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from hook_report import Clients, run
from shifts import Shift, read_shift
from version_checks import CheckFailed, Functions, Version, check_samples, read_version

# A change of an alias takes a moment to reach all of Lambda.
_TRIES = 4
_POLL_SECONDS = 2.0


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Report to CodeDeploy whether the shift is complete."""
    return run(event, context.get_remaining_time_in_millis() / 1000, check)


def check(deployment: str, clients: Clients, sleep: Callable[[float], None] = time.sleep) -> str:
    """Return the finding as a sentence. Raises CheckFailed if the alias is wrong. `sleep` is in seconds."""
    shift = read_shift(clients.codedeploy(), deployment)
    functions = Functions(clients.functions(), shift.function, sleep=sleep)
    version = _wait_for_target(functions, shift, sleep)
    seen = check_samples(functions, shift.alias, version, float(os.environ["LATENCY_BUDGET_MS"]), most=1)
    return f"the alias {shift.alias} of {shift.function} routes to version {shift.target} alone, which {seen}"


def _wait_for_target(functions: Functions, shift: Shift, sleep: Callable[[float], None]) -> Version:
    """Return the version behind the alias. Raises CheckFailed if it remains another than the shift's target."""
    for _ in range(_TRIES - 1):
        try:
            return _behind_alias(functions, shift)
        except CheckFailed:
            sleep(_POLL_SECONDS)
    return _behind_alias(functions, shift)


def _behind_alias(functions: Functions, shift: Shift) -> Version:
    alias = functions.client.get_alias(FunctionName=shift.function, Name=shift.alias)
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if alias["FunctionVersion"] != shift.target or weights:
        raise CheckFailed(
            f"the alias {shift.alias} of {shift.function} routes to version {alias['FunctionVersion']} with the "
            f"weights {weights}; expected version {shift.target} alone"
        )
    version = read_version(functions, shift.alias)
    if version.number != shift.target:
        raise CheckFailed(
            f"the alias {shift.alias} responded as version {version.number}; expected version {shift.target}"
        )
    return version
