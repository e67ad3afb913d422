"""`pilotlight deploy aws`: a release from this working copy to a stack, and only as far as it can be trusted.

What can be looked at is looked at before anything is changed. At the end counts what the function itself says that it
serves, not what CloudFormation says that it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import load_lock
from pilotlight_cli.aws import costs, versions
from pilotlight_cli.aws.bootstrap import STACK as BOOTSTRAP
from pilotlight_cli.aws.bootstrap import find_store, make_store
from pilotlight_cli.aws.changes import Update, Values, updates
from pilotlight_cli.aws.compare import NotServed, compare
from pilotlight_cli.aws.environments import Environment
from pilotlight_cli.aws.release import FUNCTION, PARAMETER, release_digest
from pilotlight_cli.aws.sam import Sam, SamFailed
from pilotlight_cli.aws.served import ALIAS, Served
from pilotlight_cli.aws.stacks import Stack, aftermath, check_deployable, read_stack
from pilotlight_cli.aws.template import Template, effective_values, load_template, refusals
from pilotlight_cli.local.verify import VerifyReport, verify
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.project import LOCK, PROJECT
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging.bytecode import has_bytecode
from pilotlight_cli.stores import open_store

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient

_STORE = "StoreUrl"
_KEY = "StoreKeyArn"
_BOUNDARY = "PermissionsBoundary"
_STORE_OUTPUT = "Store"

# Parameters that are numbers, and of which the half makes no sense.
_WHOLE = (
    *("MinProvisioned", "MaxProvisioned", "MemorySize"),
    *("EphemeralStorageMb", "TimeoutSeconds", "MaxBodyBytes"),
)

# Lambda lets no function reserve these, and keeps none of them ready.
# https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
_NEVER_PROVISIONED = 100


class DeployRefused(PilotlightError):
    """Nothing was deployed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a deployment works with: clients of AWS's services, SAM CLI, and whoever reads and answers.

    `verify` loads the model of a lock from a store in Lambda's own runtime, on this machine.
    """

    cloudformation: CloudFormationClient
    functions: LambdaClient
    sam: Sam
    say: Callable[[str], None]
    confirm: Callable[[str], bool]
    verify: Callable[[Path, str, str], VerifyReport] = verify


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment that went well: what is served now, whether that is new, and the outputs of the stack."""

    stack: Stack
    served: Served
    changed: bool


def deploy(environment: Environment, account: Account, source: str = "") -> Deployed:
    """Bring what is in this working copy to an environment. `source` is a store that has the pinned version.

    Raises PilotlightError: DeployRefused and others before anything of the stack is changed, SamFailed where its update
    failed, NotServed where the function does not serve what was deployed.
    """
    template = load_template(PROJECT / "template.yaml")
    wanted = _wanted(template, environment)
    stack = read_stack(account.cloudformation, environment.stack)
    before = _look(account, stack, environment)
    wanted |= _of_account(environment, account)
    _try_model(wanted[_STORE], source, account)
    package = _build(environment, wanted, account)

    deployed = _values(template, stack) if stack else None
    wanted |= _former(stack, wanted)
    _check_room(deployed, wanted, account)
    plan = updates(deployed, wanted, lambda values: release_digest(template, package, values))
    _agree(environment, stack, wanted, plan, account)
    for update in plan:
        if stack:
            _clear_the_way(function_name(environment), update.values[PARAMETER], account)
        _update(environment, update, account)
    served = compare(account.functions, function_name(environment), package, plan[-1].values, account.say)
    now = read_stack(account.cloudformation, environment.stack)
    if now is None:
        raise NotServed(f"the stack {environment.stack} is gone; somebody deleted it")
    return Deployed(now, served, served.version != before)


def _wanted(template: Template, environment: Environment) -> dict[str, str]:
    """The values of all parameters. Raises DeployRefused where the template does not take them."""
    if environment.parameters.get(PARAMETER):
        raise DeployRefused(f"samconfig.toml has a {PARAMETER} for {environment.name}; leave it empty, it is computed")
    values = effective_values(template, environment.parameters)
    refused = refusals(template, values) or _beyond_rules(values)
    if refused:
        raise DeployRefused(f"the parameters of {environment.name} in samconfig.toml: {'; '.join(refused)}")
    return values


def _beyond_rules(values: Values) -> list[str]:
    """What the template's rules cannot refuse, since they know no numbers; a sentence each."""
    if broken := [name for name in _WHOLE if not values[name].isdecimal()]:
        return [f"{name} is {values[name]}; expected a whole number" for name in broken]
    fewest, most, timeout = (int(values[name]) for name in ("MinProvisioned", "MaxProvisioned", "TimeoutSeconds"))
    budget = float(values["LatencyBudgetMs"])
    refused = []
    if fewest > most:
        refused.append(f"MinProvisioned is {fewest} and MaxProvisioned {most}; expected the maximum to be no less")
    if budget > timeout * 1000:
        refused.append(
            f"LatencyBudgetMs is {budget:g} and TimeoutSeconds {timeout}; a request ends before it can be that slow, "
            "so that no alarm would ring; expected a budget within the time"
        )
    return refused


def _look(account: Account, stack: Stack | None, environment: Environment) -> str:
    """The version that is served before; empty where none is. Raises where no deployment may begin."""
    if stack is None:
        return ""
    check_deployable(stack)
    function = function_name(environment)
    alias = versions.alias(account.functions, function, ALIAS)
    if alias is None:
        return ""
    if alias.weights:
        shares = ", ".join(f"version {version}: {share:.0%}" for version, share in sorted(alias.weights.items()))
        raise DeployRefused(
            f"the alias {ALIAS} of {function} stands for version {alias.version} and gives traffic to others too "
            f"({shares}): a deployment is under way, or one was left behind. Wait for the first; "
            "docs/guides/operate-on-aws.md says what to do about the second"
        )
    return alias.version


def _of_account(environment: Environment, account: Account) -> dict[str, str]:
    """What the account has once for all stacks: its model store, made where it is missing, and its boundary for roles.

    What the environment gives itself stays as it is.
    """
    given = environment.parameters
    found = find_store(account.cloudformation)
    if found is None and _STORE not in given:
        if not account.confirm(f"There is no model store here. Make it, as the stack {BOOTSTRAP}?"):
            raise DeployRefused("nothing was deployed: there is no model store")
        account.say(f"making the stack {BOOTSTRAP}: the bucket of the model store, and one for its access log")
        found = make_store(account.cloudformation)
    if found is None:
        return {}
    store = {} if _STORE in given else {_STORE: found.url, _KEY: found.key_arn}
    values = {_BOUNDARY: found.boundary, **store}
    return {name: value for name, value in values.items() if name not in given}


def _try_model(store: str, source: str, account: Account) -> None:
    """The pinned version is in the store, loads in Lambda's own runtime, and answers as its publisher saw."""
    model = load_lock(LOCK).model
    if ensure_published(LOCK, open_store(store), source, "make deploy-aws ENV=... FROM=s3://bucket/prefix"):
        account.say(f"copied {model.name}:{model.version} to {store}")
    account.say(f"verifying {model.name}:{model.version} from {store} in Lambda's runtime on this machine")
    failed = [f"{check.name}: {check.detail}" for check in account.verify(LOCK, store, "aws").checks if not check.ok]
    if failed:
        raise DeployRefused(f"{model.name}:{model.version} cannot be deployed; {'; '.join(failed)}")


def _build(environment: Environment, wanted: Values, account: Account) -> Path:
    account.sam.build(wanted["Architecture"])
    package = account.sam.folder / FUNCTION
    if _is_production(environment, wanted) and not has_bytecode(package):
        raise DeployRefused(
            f"the package has no bytecode, since there is no Python {PYTHON_VERSION} on this machine: every cold start "
            f"in {environment.name} would compile all that it imports. Install Python {PYTHON_VERSION}, and try again"
        )
    return package


def _is_production(environment: Environment, wanted: Values) -> bool:
    """Whether cold starts matter there: by its name, or because it pays for fewer of them."""
    return environment.name == "prod" or wanted["StartMode"] != "on-demand"


def _values(template: Template, stack: Stack) -> dict[str, str]:
    """The values that a stack was deployed with. What the template has only now had no other than its default."""
    known = {name: value for name, value in stack.parameters.items() if name in template["Parameters"]}
    return effective_values(template, known)


def _former(stack: Stack | None, wanted: Values) -> dict[str, str]:
    """The store that is left with this deployment: the versions before go on reading it while traffic shifts.

    Its URL is among the outputs: as a parameter it may be empty, for the bucket that bootstrap.yaml makes.
    """
    left = stack.outputs.get(_STORE_OUTPUT, "") if stack else ""
    if stack is None or left in ("", wanted[_STORE]):
        return {}
    return {"FormerStoreUrl": left, "FormerStoreKeyArn": stack.parameters.get(_KEY, "")}


def _check_room(deployed: Values | None, wanted: Values, account: Account) -> None:
    """Refuse instances that the account cannot keep ready: the creation of the stack would fail half way."""
    most = int(wanted["MaxProvisioned"])
    if wanted["StartMode"] != "provisioned" or (deployed is not None and most <= int(deployed["MaxProvisioned"])):
        return
    room = versions.unreserved(account.functions) - _NEVER_PROVISIONED
    if most > room:
        raise DeployRefused(
            f"MaxProvisioned is {most}, and this account can keep {max(room, 0)} instances ready: of its concurrency "
            f"Lambda leaves {_NEVER_PROVISIONED} unprovisioned. Ask AWS for a higher quota of concurrent executions, "
            "or choose another start mode"
        )


def _agree(
    environment: Environment, stack: Stack | None, wanted: Values, plan: tuple[Update, ...], account: Account
) -> None:
    """Say what will be done and what it costs, and ask. Raises DeployRefused."""
    function = function_name(environment)
    snapshots = _snapshots(function, account) if stack else 0
    cost = costs.cost_text(wanted, snapshots)
    if cost:
        account.say(cost)
    if stack is None:
        account.say(
            "this is the stack's first deployment: no traffic shifts and no hook runs. The verification, and the smoke "
            "test at the end, are all that stands between a bad model and its callers"
        )
    release = plan[-1].values[PARAMETER]
    if not account.confirm(f"Deploy the release {release[:12]} to {environment.stack}?"):
        raise DeployRefused("nothing was deployed")


def _snapshots(function: str, account: Account) -> int:
    """How many versions have a snapshot that is kept."""
    found = versions.published(account.functions, function)
    return sum(versions.takes_snapshots(account.functions, function, str(version)) for version in found)


def _update(environment: Environment, update: Update, account: Account) -> None:
    account.say(f"{environment.stack}: {update.purpose}")
    try:
        account.sam.deploy(environment.stack, update.values)
    except SamFailed as error:
        after = aftermath(read_stack(account.cloudformation, environment.stack))
        raise SamFailed(f"{error}. {after}") from error


def _clear_the_way(function: str, release: str, account: Account) -> None:
    """Delete the newest version where it is of this very release and has no traffic: one that was taken back.

    Lambda publishes no version that equals the last one, so that the release could not be tried a second time.
    """
    newest = versions.published(account.functions, function)[:1]
    left = [version for version in newest if version not in versions.behind(account.functions, function)]
    for version in left:
        if versions.release(account.functions, function, version) == release:
            account.say(
                f"deleting version {version} of {function}, which an earlier attempt at this release left behind"
            )
            versions.delete(account.functions, function, version)


def function_name(environment: Environment) -> str:
    """The name of the function that predicts, as template.yaml gives it."""
    return f"{environment.stack}-predict"
