"""What a deployment changes, and in which updates of the stack: a start mode takes one or two of its own.

Lambda puts no provisioned concurrency on an alias that carries weights, as CodeDeploy gives it while it shifts traffic,
and Lambda itself while a new version becomes ready. An update that does both at once fails, and so may its rollback
(https://github.com/aws/serverless-application-model/issues/1296 and 1353). So a version comes first and its instances
after it; and they go before another version comes. SnapStart, which takes none of them, comes when they are gone.
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
_FORMER = ("FormerStoreUrl", "FormerStoreKeyArn")  # filled in by the deployment itself, and emptied by the next
_WITHOUT = {_MODE: "on-demand", **dict.fromkeys(_SIZES, "1")}

Values = Mapping[str, str]
Digest = Callable[[Values], str]


class MixedChange(PilotlightError):
    """A deployment would change the start mode or its size, and something else too."""


@dataclass(frozen=True, slots=True)
class Update:
    """One update of the stack: the values of all parameters, and what it is for."""

    values: Values
    purpose: str


def updates(deployed: Values | None, wanted: Values, digest: Digest) -> tuple[Update, ...]:
    """The updates that bring a stack from what is deployed (None where it is not there yet) to what is wanted.

    Both are values for all of the template's parameters; `digest` gives the release digest for such values. Raises
    MixedChange.
    """
    goal = {**wanted, PARAMETER: digest(wanted)}
    if deployed is None:
        return (Update(goal, "creating the stack"),)
    changed = [name for name in (_MODE, *_SIZES) if deployed[name] != wanted[name]]
    if not changed:
        return (Update(goal, "updating the stack"),)
    _check_alone(changed, deployed, wanted, digest)
    # The same code and the same model: there is nothing to try on a tenth of the traffic.
    return _of_start_mode(deployed, {**goal, _TYPE: "AllAtOnce"})


def _of_start_mode(deployed: Values, goal: Values) -> tuple[Update, ...]:
    before, after = deployed[_MODE], goal[_MODE]
    if before == after:
        return (Update(goal, "changing how many instances are kept ready"),)
    publishing = Update(goal, f"publishing the version for {after}")
    if after == "provisioned":
        first = Update({**goal, **_WITHOUT}, "publishing the version, before instances of it are kept ready")
        keeping = Update(goal, "keeping instances ready")
        # An earlier attempt may have come as far as the version.
        return (keeping,) if deployed[PARAMETER] == goal[PARAMETER] else (first, keeping)
    if before == "provisioned":
        without = {**goal, **_WITHOUT, PARAMETER: deployed[PARAMETER]}
        return (Update(without, "letting the instances go that are kept ready"), publishing)
    return (publishing,)


def _check_alone(changed: list[str], deployed: Values, wanted: Values, digest: Digest) -> None:
    others = (name for name in wanted if name not in (_MODE, *_SIZES, *_FORMER, _TYPE, PARAMETER))
    also = [_change(name, deployed, wanted) for name in others if deployed[name] != wanted[name]]
    if not deployed[PARAMETER]:
        also.append("a release that nothing can be compared with: the stack was deployed without its digest")
    elif not also and deployed[PARAMETER] not in {digest({**wanted, _MODE: mode}) for mode in _MODES}:
        also.append("the code, the model or the function's properties in the template")
    if also:
        first = ", ".join(_change(name, deployed, wanted) for name in changed)
        kept = " ".join(f"{name}={deployed[name]}" for name in (_MODE, *_SIZES))
        raise MixedChange(
            f"this deployment would change how instances start ({first}), and also {'; '.join(also)}. Lambda takes no "
            "change of the first kind while traffic shifts to a new version, so it has to be a deployment of its own. "
            f"Deploy the rest first, with {kept} in samconfig.toml; then change that alone, and deploy again"
        )


def _change(name: str, deployed: Values, wanted: Values) -> str:
    before, after = (values[name] or "nothing" for values in (deployed, wanted))
    return f"{name} from {before} to {after}"
