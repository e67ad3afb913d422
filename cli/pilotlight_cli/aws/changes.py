"""The updates of the stack that a deployment makes. A change of the start mode takes one or two of its own.

Lambda refuses provisioned concurrency on an alias with weights. CodeDeploy sets weights while it shifts traffic, and
Lambda itself while a new version becomes ready. An update that does both at once fails, and so may its rollback
(https://github.com/aws/serverless-application-model/issues/1296 and 1353). So a version is
published before its instances are provisioned, and they are removed before another version or SnapStart comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws.release import PARAMETER

_MODE = "StartMode"
_MODES = ("on-demand", "provisioned", "snapstart")
_SIZES = ("MinProvisioned", "MaxProvisioned")
_TYPE = "DeploymentType"
_FORMER = ("FormerStoreUrl", "FormerStoreKeyArn")  # set by the deployment itself, and cleared by the next
_WITHOUT = {_MODE: "on-demand", **dict.fromkeys(_SIZES, "1")}

Values = Mapping[str, str]
Digest = Callable[[Values], str]


class MixedChange(PilotlightError):
    """A deployment would change the start mode or its size together with something else."""


@dataclass(frozen=True, slots=True)
class Update:
    """One update of the stack: the values of all parameters, and its purpose."""

    values: Values
    purpose: str


def updates(deployed: Values | None, wanted: Values, digest: Digest) -> tuple[Update, ...]:
    """Return the updates that bring a stack from the deployed parameter values to the wanted ones.

    Both have values for all of the template's parameters; `deployed` is None if there is no stack. `digest` returns the
    release digest for such values. Raise MixedChange if the start mode would change together with something else.
    """
    goal = {**wanted, PARAMETER: digest(wanted)}
    if deployed is None:
        return (Update(goal, "creating the stack"),)
    changed = [name for name in (_MODE, *_SIZES) if deployed[name] != wanted[name]]
    if not changed:
        return (Update(goal, "updating the stack"),)
    _check_alone(changed, deployed, wanted, digest)
    # The code and the model stay the same, so a gradual shift would test nothing.
    return _of_start_mode(deployed, {**goal, _TYPE: "AllAtOnce"})


def _of_start_mode(deployed: Values, goal: Values) -> tuple[Update, ...]:
    before, after = deployed[_MODE], goal[_MODE]
    if before == after:
        return (Update(goal, "changing the number of provisioned instances"),)
    publishing = Update(goal, f"publishing the version for {after}")
    if after == "provisioned":
        first = Update({**goal, **_WITHOUT}, "publishing the version, before its instances are provisioned")
        provisioning = Update(goal, "provisioning instances")
        # An earlier attempt may have published the version.
        return (provisioning,) if deployed[PARAMETER] == goal[PARAMETER] else (first, provisioning)
    if before == "provisioned":
        without = {**goal, **_WITHOUT, PARAMETER: deployed[PARAMETER]}
        return (Update(without, "removing the provisioned instances"), publishing)
    return (publishing,)


def _check_alone(changed: list[str], deployed: Values, wanted: Values, digest: Digest) -> None:
    others = (name for name in wanted if name not in (_MODE, *_SIZES, *_FORMER, _TYPE, PARAMETER))
    also = [_change(name, deployed, wanted) for name in others if deployed[name] != wanted[name]]
    if not deployed[PARAMETER]:
        also.append("the release, which cannot be compared: the stack was deployed without a release digest")
    elif not also and deployed[PARAMETER] not in {digest({**wanted, _MODE: mode}) for mode in _MODES}:
        also.append("the code, the model or the function's properties in the template")
    if also:
        first = ", ".join(_change(name, deployed, wanted) for name in changed)
        kept = " ".join(f"{name}={deployed[name]}" for name in (_MODE, *_SIZES))
        raise MixedChange(
            f"this deployment would change how instances start ({first}), and also {'; '.join(also)}. Lambda does not "
            "accept the first while traffic shifts to a new version, so it needs a deployment of its own. "
            f"Deploy the rest first, with {kept} in samconfig.toml; then change how instances start, and deploy again"
        )


def _change(name: str, deployed: Values, wanted: Values) -> str:
    before, after = (values[name] or "nothing" for values in (deployed, wanted))
    return f"{name} from {before} to {after}"
