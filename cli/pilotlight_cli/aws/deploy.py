"""`pilotlight deploy aws`: deploys a release from this working copy to a stack.

All checks that are possible come before the first change. The deployment succeeds if the function itself reports that
it serves the release, whatever CloudFormation reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import PilotlightError
from pilotlight.model.lock import Description, load_lock
from pilotlight_cli.aws import costs, image, judging, record_sources, versions
from pilotlight_cli.aws.bootstrap import STACK as BOOTSTRAP
from pilotlight_cli.aws.bootstrap import find_store, make_store
from pilotlight_cli.aws.calls import client
from pilotlight_cli.aws.changes import Update, Values, updates
from pilotlight_cli.aws.compare import NotServed, compare, compare_records
from pilotlight_cli.aws.environments import Environment
from pilotlight_cli.aws.release import FUNCTION, PARAMETER, SOURCE, digest_of_build
from pilotlight_cli.aws.sam import Sam, SamFailed
from pilotlight_cli.aws.served import ALIAS, Served
from pilotlight_cli.aws.sizes import beyond_rules, memory_text
from pilotlight_cli.aws.stacks import Stack, aftermath, check_deployable, read_stack
from pilotlight_cli.aws.tags import release_tags
from pilotlight_cli.aws.template import Template, effective_values, load_template, refusals
from pilotlight_cli.local.lambda_runtime import has_emulator
from pilotlight_cli.local.verify import RUNTIME, VerifyReport, verify
from pilotlight_cli.pinning.needs import slow_start
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.project.folders import ModelFolder
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

# Lambda reserves these for functions without reserved or provisioned concurrency.
# https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
_NEVER_PROVISIONED = 100


class DeployRefused(PilotlightError):
    """Nothing was deployed; the message has the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a deployment works with: clients of AWS's services, SAM CLI, and the dialogue with the user.

    `verify` loads the model of a lock from a store in Lambda's own runtime, on this machine. `queues` makes a client of
    SQS, which few stacks need. `past_alarms` deploys although the release that serves fails, as a fix must.
    """

    model: ModelFolder
    cloudformation: CloudFormationClient
    functions: LambdaClient
    cloudwatch: Any
    sam: Sam
    say: Callable[[str], None]
    confirm: Callable[[str], bool]
    verify: Callable[[Path, str, str], VerifyReport] = verify
    queues: Callable[[], Any] = lambda: client("sqs")
    past_alarms: bool = False


@dataclass(frozen=True, slots=True)
class Deployed:
    """A successful deployment: the stack, what it serves, the model in that, and whether it changed."""

    stack: Stack
    served: Served
    model: Description
    changed: bool


def deploy(environment: Environment, account: Account, source: str = "") -> Deployed:
    """Deploy this working copy to an environment. `source` is a store that has the pinned version.

    Raise PilotlightError: DeployRefused and others before any change of the stack, SamFailed if its update fails,
    NotServed if the function does not serve what was deployed.
    """
    template = load_template(account.model.root / "template.yaml")
    wanted = _wanted(template, environment, load_lock(account.model.lock).model)
    stack = read_stack(account.cloudformation, environment.stack)
    before = _served_version(account, stack, environment)
    if before and not account.past_alarms and (held := judging.held(account.cloudwatch, environment.stack)):
        raise DeployRefused(held)
    if refused := image.refusal(account.functions, function_name(environment), before, wanted, account.sam.repository):
        raise DeployRefused(refused)
    _check_source(wanted, account)
    wanted |= _of_account(environment, account)
    _verify_model(wanted[_STORE], source, account)
    package = _build(environment, wanted, account)

    deployed = _values(template, stack) if stack else None
    wanted |= _former(stack, wanted)
    _check_quota(deployed, wanted, account)
    shaped = account.sam.shaped(template)
    plan = updates(deployed, wanted, partial(digest_of_build, shaped, account.model.root, account.sam.folder))
    _confirm(environment, stack, wanted, plan, account)
    for update in plan:
        if stack:
            _delete_leftovers(environment, stack, update.values[PARAMETER], account)
        _update(environment, update, account, before)
    served = compare(account.functions, function_name(environment), package, plan[-1].values, account.say)
    if wanted.get(SOURCE):
        compare_records(account.functions, records_name(environment), package, plan[-1].values)
    now = read_stack(account.cloudformation, environment.stack)
    if now is None:
        raise NotServed(f"the stack {environment.stack} was deleted meanwhile")
    return Deployed(now, served, load_lock(package / "model.lock").model, served.version != before)


def _wanted(template: Template, environment: Environment, model: Description) -> dict[str, str]:
    """Return the values of all parameters. Raise DeployRefused if the template or the model does not accept them."""
    if environment.parameters.get(PARAMETER):
        raise DeployRefused(f"samconfig.toml sets {PARAMETER} for {environment.name}; remove it, deploy computes it")
    values = effective_values(template, environment.parameters)
    refused = refusals(template, values) or [*beyond_rules(values, model), *record_sources.refusals(values)]
    if refused:
        raise DeployRefused(f"the parameters of {environment.name} in samconfig.toml: {'; '.join(refused)}")
    return values


def _served_version(account: Account, stack: Stack | None, environment: Environment) -> str:
    """Return the version served before, or an empty string. Raise if no deployment may start."""
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
            f"the alias {ALIAS} of {function} points to version {alias.version} and shares its traffic with others "
            f"({shares}): a deployment is in progress, or was abandoned. Wait for it to end, or see "
            "docs/guides/operate-on-aws.md on how to clear an abandoned one"
        )
    return alias.version


def _check_source(wanted: Values, account: Account) -> None:
    """Refuse a source of records that Lambda could not read."""
    if wanted.get(SOURCE):
        refused = record_sources.unreadable(wanted, account.functions.meta.region_name, account.queues())
        if refused:
            raise DeployRefused("; ".join(refused))


def _of_account(environment: Environment, account: Account) -> dict[str, str]:
    """Return the values that the account gives all stacks: its model store, created if missing, and its boundary.

    Values that the environment sets take precedence.
    """
    given = environment.parameters
    store = find_store(account.cloudformation)
    if store is None and _STORE not in given:
        if not account.confirm(f"This account has no model store. Create it, as the stack {BOOTSTRAP}?"):
            raise DeployRefused("nothing was deployed: this account has no model store")
        account.say(f"creating the stack {BOOTSTRAP}: the bucket of the model store, and one for its access log")
        store = make_store(account.cloudformation, account.model.root / "bootstrap.yaml")
    if store is None:
        return {}
    location = {} if _STORE in given else {_STORE: store.url, _KEY: store.key_arn}
    values = {_BOUNDARY: store.boundary, **location}
    return {name: value for name, value in values.items() if name not in given}


def _verify_model(store: str, source: str, account: Account) -> None:
    """Ensure that the store has the pinned version, and that it passes its verification on this machine."""
    lock = account.model.lock
    model = load_lock(lock).model
    if ensure_published(lock, open_store(store), source):
        account.say(f"copied {model.name}:{model.version} to {store}")
    runtime = "Lambda's runtime" if has_emulator() else "plain Python"
    account.say(f"verifying {model.name}:{model.version} from {store} in {runtime} on this machine")
    checks = account.verify(lock, store, "aws").checks
    for check in checks:
        if check.name == RUNTIME:
            account.say(f"verified in {check.detail}")
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    if failed:
        raise DeployRefused(f"{model.name}:{model.version} failed its verification: {'; '.join(failed)}")


def _build(environment: Environment, wanted: Values, account: Account) -> Path:
    account.sam.build(wanted["Architecture"])
    package = account.sam.folder / FUNCTION
    pays_for_starts = environment.name == "prod" or wanted["StartMode"] != "on-demand"
    if pays_for_starts and not has_bytecode(package):
        raise DeployRefused(
            f"the package has no bytecode, since this machine has no Python {PYTHON_VERSION}: every cold start in "
            f"{environment.name} would compile all its imports. Install Python {PYTHON_VERSION}, and try again"
        )
    return package


def _values(template: Template, stack: Stack) -> dict[str, str]:
    """Return the values that a stack was deployed with; parameters that are new have their defaults."""
    known = {name: value for name, value in stack.parameters.items() if name in template["Parameters"]}
    return effective_values(template, known)


def _former(stack: Stack | None, wanted: Values) -> dict[str, str]:
    """Return the store that this deployment replaces: earlier versions still read it while traffic shifts.

    Its URL comes from the outputs: the parameter may be empty, for the bucket that bootstrap.yaml creates.
    """
    former = stack.outputs.get(_STORE_OUTPUT, "") if stack else ""
    if stack is None or former in ("", wanted[_STORE]):
        return {}
    return {"FormerStoreUrl": former, "FormerStoreKeyArn": stack.parameters.get(_KEY, "")}


def _check_quota(deployed: Values | None, wanted: Values, account: Account) -> None:
    """Refuse more provisioned instances than the account allows: the creation of the stack would fail half way."""
    most = int(wanted["MaxProvisioned"])
    if wanted["StartMode"] != "provisioned" or (deployed is not None and most <= int(deployed["MaxProvisioned"])):
        return
    available = versions.unreserved(account.functions) - _NEVER_PROVISIONED
    if most > available:
        raise DeployRefused(
            f"MaxProvisioned is {most}, expected at most {max(available, 0)}: Lambda leaves {_NEVER_PROVISIONED} of "
            "this account's concurrency unprovisioned. Request a higher quota of concurrent executions from AWS, or "
            "choose another start mode"
        )


def _confirm(
    environment: Environment, stack: Stack | None, wanted: Values, plan: tuple[Update, ...], account: Account
) -> None:
    """Report the cost, and ask for confirmation. Raise DeployRefused without it."""
    snapshots = versions.snapshots(account.functions, function_name(environment)) if stack else 0
    slow = slow_start(load_lock(account.model.lock).model) if wanted["StartMode"] == "on-demand" else ""
    for text in (costs.cost_text(wanted, snapshots), memory_text(wanted, stack.parameters if stack else {}), slow):
        if text:
            account.say(text)
    if stack is None:
        account.say(
            "this is the stack's first deployment, without a traffic shift and hooks: only the verification, and the "
            "golden samples at the end, protect callers from a bad model"
        )
    if not account.confirm(f"Deploy the release {plan[-1].values[PARAMETER][:12]} to {environment.stack}?"):
        raise DeployRefused("nothing was deployed")


def _update(environment: Environment, update: Update, account: Account, before: str) -> None:
    account.say(f"{environment.stack}: {update.purpose}")
    try:
        account.sam.deploy(environment.stack, update.values, {**environment.tags, **release_tags(account.model)})
    except SamFailed as error:
        after = aftermath(read_stack(account.cloudformation, environment.stack))
        said = judging.judged_newest(account.functions, function_name(environment), environment.stack, before)
        raise SamFailed(f"{error}. {after}{said and f'. The judge says {said}'}") from error


def _delete_leftovers(environment: Environment, stack: Stack, release: str, account: Account) -> None:
    _delete_leftover(function_name(environment), release, account)
    if stack.parameters.get(SOURCE):
        _delete_leftover(records_name(environment), release, account)


def _delete_leftover(function: str, release: str, account: Account) -> None:
    """Delete the newest version if it is of this release and has no traffic: an earlier attempt was rolled back.

    Lambda publishes no version that equals the last one, so the release could not be deployed a second time.
    """
    newest = versions.published(account.functions, function)[:1]
    unused = [version for version in newest if version not in versions.behind(account.functions, function)]
    for version in unused:
        if versions.release(account.functions, function, version) == release:
            account.say(f"deleting version {version} of {function}, left by an earlier attempt at this release")
            versions.delete(account.functions, function, version)


def function_name(environment: Environment) -> str:
    """Return the name of the function that predicts, as in template.yaml."""
    return f"{environment.stack}-predict"


def records_name(environment: Environment) -> str:
    """Return the name of the function for records, as in deploy/aws/streams.yaml."""
    return f"{environment.stack}-records"
