"""The hook after the shift: all traffic has to be on the new version, and the alias has to answer as that one does."""

from __future__ import annotations

import os
import time
from typing import Any

from hook_report import Clients, run
from shifts import read_shift
from version_checks import CheckFailed, Functions, check_samples, describe


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric has no types
    """Report to CodeDeploy whether the shift has ended where it should."""
    return run(event, context.get_remaining_time_in_millis() / 1000, check)


def check(deployment: str, clients: Clients) -> str:
    """What was found, as a sentence. Raises what speaks against the alias."""
    shift = read_shift(clients.codedeploy(), deployment)
    client = clients.functions()
    alias = client.get_alias(FunctionName=shift.function, Name=shift.alias)
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if alias["FunctionVersion"] != shift.target or weights:
        raise CheckFailed(
            f"the alias {shift.alias} of {shift.function} leads to version {alias['FunctionVersion']} with the weights "
            f"{weights}; expected version {shift.target} alone"
        )
    functions = Functions(client, shift.function, time.monotonic)
    version = describe(functions, shift.alias)
    if version.number != shift.target:
        raise CheckFailed(f"the alias {shift.alias} answered as version {version.number}; expected {shift.target}")
    seen = check_samples(functions, shift.alias, version, float(os.environ["LATENCY_BUDGET_MS"]), most=1)
    return f"the alias {shift.alias} of {shift.function} leads to version {shift.target} alone, which {seen}"
