"""Checks after a deployment: what the alias serves, how its instances start, and how it answers golden samples."""

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
    """The stack was deployed, but the function does not serve what was deployed."""


def compare(
    functions: LambdaClient,
    function: str,
    package: Path,
    values: Values,
    say: Callable[[str], None],
) -> Served:
    """Return what the alias serves. Raise NotServed if that is not the built package with these parameter values."""
    served = read_served(functions, function)
    _check_served(
        function, served, values[PARAMETER], hashlib.sha256((package / "model.lock").read_bytes()).hexdigest()
    )
    _check_start_mode(functions, function, values, say)
    say(f"sending the golden samples to {function}:{ALIAS}")
    model = load_lock(package / "model.lock").model
    problems = smoke(functions, function, model, read_golden((package / GOLDEN).read_bytes()))
    if problems:
        raise NotServed(f"{function}:{ALIAS} does not answer as published: {'; '.join(problems)}")
    return served


def compare_records(functions: LambdaClient, function: str, package: Path, values: Values) -> None:
    """Raise NotServed if the alias of the function for records is not of the release with these values.

    `package` is that of either function: both have the same lock.
    """
    lock = hashlib.sha256((package / "model.lock").read_bytes()).hexdigest()
    _check_served(function, read_served(functions, function), values[PARAMETER], lock)


def _check_served(function: str, served: Served, release: str, lock: str) -> None:
    if served == replace(served, release=release, lock=lock):
        return
    raise NotServed(
        f"{function}:{ALIAS} serves version {served.version}, with the release {served.release[:12] or 'none'} and the "
        f"lock {served.lock[:12]}; expected the release {release[:12]} and the lock {lock[:12]}. If CodeDeploy rolled "
        "back, its console says why; 'aws cloudformation describe-stack-events' lists the steps"
    )


def _check_start_mode(
    functions: LambdaClient,
    function: str,
    values: Values,
    say: Callable[[str], None],
) -> None:
    """Check that instances start as the parameters say. From here on, autoscaling decides their number."""
    mode, place = values["StartMode"], f"{function}:{ALIAS}"
    kept = versions.provisioned(functions, function, ALIAS)
    options = f"--function-name {function} --qualifier {ALIAS}"
    if mode == "provisioned" and kept is None:
        raise NotServed(
            f"the stack was updated, but {place} has no provisioned instances; 'aws lambda "
            f"put-provisioned-concurrency-config {options} --provisioned-concurrent-executions "
            f"{values['MinProvisioned']}' adds them"
        )
    fewest, most = int(values["MinProvisioned"]), int(values["MaxProvisioned"])
    if mode == "provisioned" and kept is not None and not fewest <= kept <= most:
        say(
            f"{place} has {kept} provisioned instance(s) requested, expected {fewest} to {most}: check again in "
            f"some minutes with 'aws lambda get-provisioned-concurrency-config {options}'"
        )
    if mode != "provisioned" and kept is not None:
        raise NotServed(
            f"the stack was updated, but {place} still has {kept} provisioned instance(s), which cost money: 'aws "
            f"lambda delete-provisioned-concurrency-config {options}' removes them"
        )
    if mode == "snapstart" and not versions.has_snapshot(functions, function, ALIAS):
        raise NotServed(f"the stack was updated, but the version behind {place} does not start from a snapshot")
