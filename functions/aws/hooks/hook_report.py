"""A hook's report to CodeDeploy, sent in every case: without one, a deployment hangs for an hour.

The check has a thread of its own, so that a call that never returns cannot prevent the report.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_lambda import LambdaClient

# Of the 60 seconds that template.yaml gives a hook: for the check, and for the report at worst, which is three tries of
# six seconds and the pauses between them.
CHECK_SECONDS = 34.0
REPORT_SECONDS = 24.0

_REPORT = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
_READ = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
# One try: a version that does not respond fails the check.
_INVOKE = Config(connect_timeout=2, read_timeout=32, retries={"total_max_attempts": 1})


class Clients:
    """The clients of AWS that a hook uses, each made on demand."""

    def codedeploy(self) -> CodeDeployClient:
        """Return a client of CodeDeploy for reading."""
        return boto3.Session().client("codedeploy", config=_READ)

    def functions(self) -> LambdaClient:
        """Return a client of Lambda."""
        return boto3.Session().client("lambda", config=_INVOKE)

    def reports(self) -> CodeDeployClient:
        """Return a client of CodeDeploy for the report."""
        return boto3.Session().client("codedeploy", config=_REPORT)


Check = Callable[[str, Clients], str]


def run(event: dict[str, Any], seconds: float, check: Check, clients: Clients | None = None) -> dict[str, Any]:
    """Check the deployment that an event names, and report. Lambda ends this hook in `seconds`.

    Raises KeyError for an event that names no deployment, since a report is then impossible.
    """
    deployment, execution = event["DeploymentId"], event["LifecycleEventHookExecutionId"]
    clients = clients or Clients()
    ok, found = _run_check(deployment, check, clients, min(CHECK_SECONDS, seconds - REPORT_SECONDS))
    status: Literal["Succeeded", "Failed"] = "Succeeded" if ok else "Failed"
    line = {"level": "INFO" if ok else "ERROR", "event": "hook", "deployment": deployment, "status": status}
    with suppress(OSError, ValueError):  # a failed write to the log must not prevent the report
        sys.stdout.write(f"{json.dumps({**line, 'found': found})}\n")
        sys.stdout.flush()
    clients.reports().put_lifecycle_event_hook_execution_status(
        deploymentId=deployment, lifecycleEventHookExecutionId=execution, status=status
    )
    return {"status": status, "found": found}


def _run_check(deployment: str, check: Check, clients: Clients, seconds: float) -> tuple[bool, str]:
    """Return whether the check passed, and its finding. A check that takes longer than `seconds` fails."""
    outcome: list[tuple[bool, str]] = []

    def work() -> None:
        try:
            outcome.append((True, check(deployment, clients)))
        except BaseException as error:  # noqa: BLE001 - every error has to reach CodeDeploy
            outcome.append((False, f"{type(error).__name__}: {error}"))

    try:
        worker = threading.Thread(target=work, name="check", daemon=True)
        worker.start()
        worker.join(max(seconds, 0))
    except RuntimeError as error:  # no thread can be started
        return False, f"cannot start the check: {error}"
    return outcome[0] if outcome else (False, f"the check did not end within {seconds:.0f} s")
