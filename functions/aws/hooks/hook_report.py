"""A hook's report to CodeDeploy, which comes whatever happens: without one, a deployment hangs for an hour.

The check has a thread of its own, so that a call that never returns cannot keep the report from going out.
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

# Of the 60 seconds that template.yaml gives a hook: so long for the check, and what the report takes at the worst,
# three tries of six seconds and the pauses between them.
CHECK_SECONDS = 34.0
REPORT_SECONDS = 24.0

_REPORT = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
_READ = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
# One try: a version that does not answer is not to be asked until it does.
_INVOKE = Config(connect_timeout=2, read_timeout=32, retries={"total_max_attempts": 1})


class Clients:
    """AWS as a hook sees it; each client is made when it is asked for."""

    def codedeploy(self) -> CodeDeployClient:
        """CodeDeploy, to be read."""
        return boto3.Session().client("codedeploy", config=_READ)

    def functions(self) -> LambdaClient:
        """Lambda."""
        return boto3.Session().client("lambda", config=_INVOKE)

    def reports(self) -> CodeDeployClient:
        """CodeDeploy, to be reported to."""
        return boto3.Session().client("codedeploy", config=_REPORT)


Check = Callable[[str, Clients], str]


def run(event: dict[str, Any], seconds: float, check: Check, clients: Clients | None = None) -> dict[str, Any]:
    """Check the deployment that an event names, and report. `seconds` are left until Lambda ends this hook.

    Raises KeyError for an event that names no deployment: then there is nobody to report to.
    """
    deployment, execution = event["DeploymentId"], event["LifecycleEventHookExecutionId"]
    clients = clients or Clients()
    ok, found = _outcome(deployment, check, clients, min(CHECK_SECONDS, seconds - REPORT_SECONDS))
    status: Literal["Succeeded", "Failed"] = "Succeeded" if ok else "Failed"
    line = {"level": "INFO" if ok else "ERROR", "event": "hook", "deployment": deployment, "status": status}
    with suppress(OSError, ValueError):  # a log that cannot be written must not keep the report back
        sys.stdout.write(f"{json.dumps({**line, 'found': found})}\n")
        sys.stdout.flush()
    clients.reports().put_lifecycle_event_hook_execution_status(
        deploymentId=deployment, lifecycleEventHookExecutionId=execution, status=status
    )
    return {"status": status, "found": found}


def _outcome(deployment: str, check: Check, clients: Clients, seconds: float) -> tuple[bool, str]:
    """Whether the check passed, and what it found; a check that takes longer has not passed."""
    outcome: list[tuple[bool, str]] = []

    def work() -> None:
        try:
            outcome.append((True, check(deployment, clients)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, CodeDeploy has to hear of it
            outcome.append((False, f"{type(error).__name__}: {error}"))

    try:
        worker = threading.Thread(target=work, name="check", daemon=True)
        worker.start()
        worker.join(max(seconds, 0))
    except RuntimeError as error:  # no thread can be started
        return False, f"the check cannot run: {error}"
    return outcome[0] if outcome else (False, f"the check did not end within {seconds:.0f} s")
