"""After a deployment: whether the alias serves what was deployed, starts as it was asked to, and answers rightly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import PilotlightError
from pilotlight.model.golden import read_golden
from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight_cli.aws import versions
from pilotlight_cli.aws.changes import Values
from pilotlight_cli.aws.release import PARAMETER
from pilotlight_cli.aws.served import ALIAS, Served, read_served, smoke

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class NotServed(PilotlightError):
    """The stack was deployed, and the function does not serve what it should."""


def compare(
    functions: LambdaClient,
    function: str,
    package: Path,
    values: Values,
    say: Callable[[str], None],
) -> Served:
    """What the alias serves, when that is the built package with these parameter values. Raises NotServed, AwsError."""
    served = read_served(functions, function)
    _check_served(
        function, served, values[PARAMETER], hashlib.sha256((package / "model.lock").read_bytes()).hexdigest()
    )
    _check_start_mode(functions, function, values, say)
    say(f"sending the golden samples to {function}:{ALIAS}")
    model = load_lock(package / "model.lock").model
    problems = smoke(functions, function, model, read_golden((package / GOLDEN).read_bytes()))
    if problems:
        raise NotServed(f"{function}:{ALIAS} does not answer as the model's publisher saw it: {'; '.join(problems)}")
    return served


def _check_served(function: str, served: Served, release: str, lock: str) -> None:
    if served == replace(served, release=release, lock=lock):
        return
    raise NotServed(
        f"{function}:{ALIAS} serves version {served.version}, with the release {served.release[:12] or 'none'} and the "
        f"lock {served.lock[:12]}; expected the release {release[:12]} and the lock {lock[:12]}. Where CodeDeploy went "
        "back to the version before, its console says why; 'aws cloudformation describe-stack-events' has what was done"
    )


def _check_start_mode(
    functions: LambdaClient,
    function: str,
    values: Values,
    say: Callable[[str], None],
) -> None:
    """Look whether instances start as the stack says. How many are kept ready is autoscaling's from here on."""
    mode, place = values["StartMode"], f"{function}:{ALIAS}"
    kept = versions.provisioned(functions, function, ALIAS)
    options = f"--function-name {function} --qualifier {ALIAS}"
    if mode == "provisioned" and kept is None:
        raise NotServed(
            f"CloudFormation is done, and {place} keeps no instances ready; 'aws lambda "
            f"put-provisioned-concurrency-config {options} --provisioned-concurrent-executions "
            f"{values['MinProvisioned']}' makes up for it"
        )
    fewest, most = int(values["MinProvisioned"]), int(values["MaxProvisioned"])
    if mode == "provisioned" and kept is not None and not fewest <= kept <= most:
        say(
            f"{place} is asked for {kept} ready instance(s) so far, where {fewest} to {most} should be: look again in "
            f"some minutes, by 'aws lambda get-provisioned-concurrency-config {options}'"
        )
    if mode != "provisioned" and kept is not None:
        raise NotServed(
            f"CloudFormation is done, and {place} still keeps {kept} instance(s) ready, which costs; 'aws lambda "
            f"delete-provisioned-concurrency-config {options}' ends that"
        )
    if mode == "snapstart" and not versions.takes_snapshots(functions, function, ALIAS):
        raise NotServed(f"CloudFormation is done, and the version behind {place} does not start from a snapshot")
