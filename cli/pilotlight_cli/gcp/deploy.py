"""`pilotlight deploy gcp`: deploy a release of this working copy to a function and shift its traffic step by step.

All checks come before the first change. Once the traffic is pinned to the old revision by name, callers stay with that
revision whatever fails or is interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilotlight.model.lock import Description
from pilotlight_cli.gcp import GcpError, NotFound, costs, functions
from pilotlight_cli.gcp.callers import UnknownCallers, with_callers
from pilotlight_cli.gcp.functions import Function, update_traffic
from pilotlight_cli.gcp.golden import Expected, expected_of
from pilotlight_cli.gcp.instances import bytes_of
from pilotlight_cli.gcp.platform import Google, LivePlatform
from pilotlight_cli.gcp.release import release_digest
from pilotlight_cli.gcp.rollout import Outcome, Rollout, Step
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.settings import TAG, GcpSettings
from pilotlight_cli.gcp.state import full_traffic_revision, rollout_on, split_text
from pilotlight_cli.local.verify import verify
from pilotlight_cli.pinning.needs import too_small
from pilotlight_cli.project.git import working_commit
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store


class DeployRefused(GcpError):
    """Nothing was deployed; the message says why and what to do."""


class NotServed(GcpError):
    """The function was deployed but does not serve the expected release."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The person who runs the command: gets progress, confirms."""

    say: Callable[[str], None]
    confirm: Callable[[str], bool]
    on_step: Callable[[Step], None]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A successful deployment: the new revision, the one before ("" for the first), the release digest, the model."""

    service: str
    uri: str
    revision: str
    before: str
    release: str
    model: Description


def deploy(google: Google, operator: Operator, lock: Path, out: Path, source: str = "") -> Deployed:
    """Deploy this working copy to an environment, with the package staged in `out`.

    `source` is a store to copy the pinned version from. Raises DeployRefused, BreakingChange and others before any
    change, then NotServed and RolledBack.
    """
    expected = expected_of(lock)
    service = _check_service(google)
    if service:
        expected = _with_callers(google, operator, service, expected)
    verify_model(google.settings, operator, lock, expected.model, source)
    build("gcp", lock, out, operator.say, client=google.settings.client)
    release = release_digest(google.settings, out)
    _confirm(google.settings, operator, service, release, expected.model)

    old = _pin_traffic(google, operator, service)
    operator.say(f"deploying {google.settings.function}; the build on Google Cloud takes some minutes")
    environment, labels = environment_of(google.settings, release), labels_of(expected, release, lock)
    function = _deploy_revision(google, out, environment, labels, old)
    if old:
        _roll_out(google, operator, function, old, expected)
    else:
        _check_first_revision(google, operator, function, expected)
    return Deployed(function.service, function.uri, function.revision, old, release, expected.model)


def service_of(google: Google) -> Service | None:
    """Return the Cloud Run service of an environment's function, or None before it exists. Raises GcpError."""
    function = functions.find(google.gcloud, google.settings)
    if function is None or not function.service:
        return None
    try:
        return google.services.read(function.service)
    except NotFound:
        return None


def rollout_of(google: Google, operator: Operator, service: str, expected: Expected | None) -> Rollout:
    """Return the rollout on a service. Only `roll_back` works without `expected`."""
    platform = LivePlatform(google, service, expected)
    lock = expected.lock if expected else ""
    return Rollout(platform, google.settings.plan, lock, operator.now, google.sleep, operator.on_step)


def _check_service(google: Google) -> Service | None:
    """Return the current service, or None. Raises DeployRefused where its state does not allow a deployment."""
    service = service_of(google)
    if service is None:
        return None
    state = rollout_on(service)
    if state is not None:
        raise DeployRefused(
            f"a rollout of {state.new} is in progress, at {state.percent} % since {state.started:%Y-%m-%d %H:%M} UTC; "
            f"resume it with 'pilotlight rollout gcp --env {google.settings.environment}', or add --rollback"
        )
    if not full_traffic_revision(service):
        raise DeployRefused(
            f"the traffic of {service.name} is split outside of a rollout: {split_text(service.split)}. "
            "Route all of it to one revision first: 'gcloud run services update-traffic "
            f"{service.name} --to-revisions=REVISION=100'"
        )
    return service


def _with_callers(google: Google, operator: Operator, service: Service, expected: Expected) -> Expected:
    """Add what callers of the serving version send, where that is known. Raise BreakingChange."""
    try:
        return with_callers(google, service, expected)
    except UnknownCallers as error:
        operator.say(f"the contract is not compared with the one that serves: {error}")
        return expected


def verify_model(settings: GcpSettings, operator: Operator, lock: Path, model: Description, source: str) -> None:
    """Copy the pinned version to the store if missing, then check that it loads and answers its golden samples.

    Raise DeployRefused; before anything else where the settings give less memory than a start took.
    """
    if refused := too_small(model, f"memory of {settings.environment}", bytes_of(settings.memory), disk_is_memory=True):
        raise DeployRefused(refused)
    if ensure_published(lock, open_store(settings.store), source):
        operator.say(f"copied {model.name}:{model.version} to {settings.store}")
    operator.say(
        f"verifying {model.name}:{model.version} from {settings.store} with functions-framework on this machine"
    )
    failed = [f"{check.name}: {check.detail}" for check in verify(lock, settings.store, "gcp").checks if not check.ok]
    if failed:
        raise DeployRefused(f"{model.name}:{model.version} failed its verification: {'; '.join(failed)}")


def _confirm(
    settings: GcpSettings, operator: Operator, service: Service | None, release: str, model: Description
) -> None:
    if "PILOTLIGHT_CORS_ORIGINS" in settings.variables and not settings.public:
        operator.say(
            "PILOTLIGHT_CORS_ORIGINS works for browsers only behind a proxy that signs its own requests: a browser "
            "asks without credentials first, and Cloud Run refuses that. Otherwise set public = true"
        )
    cost = costs.cost_text(settings)
    if cost:
        operator.say(cost)
    if service is None:
        operator.say(
            f"this is the first deployment of {settings.function}: without an old revision there is no traffic to "
            "shift. Only the verification above and the golden samples at the end protect callers from a bad model"
        )
    place = f"{settings.function} in {settings.project}, {settings.region} ({settings.environment})"
    if not operator.confirm(f"Deploy {model.name}:{model.version}, release {release[:12]}, to {place}?"):
        raise DeployRefused("nothing was deployed")


def _pin_traffic(google: Google, operator: Operator, service: Service | None) -> str:
    """Pin all traffic to the serving revision, so that a new one gets none; return its name ("" if none)."""
    if service is None:
        return ""
    old = full_traffic_revision(service)
    if not service.pinned:
        operator.say(f"pinning all traffic of {service.name} to {old}")
        update_traffic(google.gcloud, google.settings, service.name, f"--to-revisions={old}=100")
    return old


def _deploy_revision(
    google: Google, out: Path, environment: Mapping[str, str], labels: Mapping[str, str], old: str
) -> Function:
    """Deploy the package. If that fails, the old revision keeps all traffic. Raises NotServed, GcpError."""
    settings = google.settings
    try:
        return functions.deploy(google.gcloud, settings, out, environment, labels)
    except GcpError as error:
        if not old:
            raise
        function = functions.find(google.gcloud, settings)
        moved = _restore_traffic(google, function.service, old) if function else ""
        raise NotServed(f"{error}\n{moved or f'{old} has all traffic, as before'}") from error


def environment_of(settings: GcpSettings, release: str) -> dict[str, str]:
    """Return the environment variables of a revision."""
    return {
        **settings.variables,
        **({"WORKERS": str(settings.workers)} if settings.workers > 1 else {}),  # functions-framework's own name
        "PILOTLIGHT_STORE": settings.store,
        "PILOTLIGHT_RELEASE": release,
        "LOG_EXECUTION_ID": "false",  # or functions-framework breaks lines of other libraries in two
        "GOOGLE_CLOUD_PROJECT": settings.project,  # for trace ids; the 2nd generation's runtimes do not set it
    }


def labels_of(expected: Expected, release: str, lock: Path) -> dict[str, str]:
    """Return the labels by which a revision is found again; the commit is that of the lock's repository, if any."""
    commit = working_commit(lock.resolve().parent)
    return {
        "pilotlight-model": expected.model.name,
        "pilotlight-version": str(expected.model.version),
        "pilotlight-lock": expected.lock,
        "pilotlight-release": release[:16],
        **({"pilotlight-commit": commit} if commit else {}),
    }


def _restore_traffic(google: Google, service: str, old: str) -> str:
    """Route all traffic back to the old revision; return a sentence about it, or "" where nothing had moved."""
    split = google.services.read(service).split
    if split == {old: 100}:
        return ""
    update_traffic(google.gcloud, google.settings, service, f"--to-revisions={old}=100")
    return (
        f"the deployment moved traffic that was pinned to {old}: found {split_text(split)}; {old} has all of it again"
    )


def _roll_out(google: Google, operator: Operator, function: Function, old: str, expected: Expected) -> None:
    """Shift the traffic to the new revision, which must have none yet. Raises NotServed, RolledBack."""
    new, service = function.revision, function.service
    moved = _restore_traffic(google, service, old)
    if moved:
        raise NotServed(moved)
    update_traffic(google.gcloud, google.settings, service, f"--update-tags={TAG}={new}")
    outcome = rollout_of(google, operator, service, expected).start(old, new)
    if outcome != Outcome("done", new):
        revision = outcome.revision or "no revision"
        raise NotServed(f"the rollout of {new} was ended by somebody else; {revision} has all traffic")


def _check_first_revision(google: Google, operator: Operator, function: Function, expected: Expected) -> None:
    operator.say(f"sending the golden samples to {function.revision}")
    answered, wrong = google.caller(function.uri).check(function.uri, expected, "first")
    if wrong or not answered:
        problems = "; ".join(wrong) or "no golden sample could be sent"
        raise NotServed(f"{function.revision} has all traffic, but fails the golden samples: {problems}")
