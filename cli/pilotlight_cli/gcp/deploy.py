"""`pilotlight deploy gcp`: a release from this working copy to a function, and its traffic step by step.

Everything that can be looked at is looked at before anything is changed. From the pin on, all traffic is on a revision
by its name: whatever fails or is interrupted after that, callers stay with the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pilotlight.model.lock import Description
from pilotlight_cli.gcp import GcpError, NotThere, costs, functions
from pilotlight_cli.gcp.functions import Function, update_traffic
from pilotlight_cli.gcp.golden import Expected, expected_of
from pilotlight_cli.gcp.platform import Google, LivePlatform
from pilotlight_cli.gcp.release import release_digest
from pilotlight_cli.gcp.rollout import Outcome, Rollout, Step
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.settings import TAG, GcpSettings
from pilotlight_cli.gcp.state import full_traffic_revision, rollout_on, split_text
from pilotlight_cli.local.verify import verify
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store


class DeployRefused(GcpError):
    """Nothing was deployed; the message says why, and what to do."""


class NotServed(GcpError):
    """The function was deployed and does not serve what it should."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever reads what is done, and answers."""

    say: Callable[[str], None]
    confirm: Callable[[str], bool]
    tell: Callable[[Step], None]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment that went well: what serves now, what served before ("" at the first), and the release's digest."""

    service: str
    uri: str
    revision: str
    before: str
    release: str


def deploy(google: Google, operator: Operator, lock: Path, out: Path, source: str = "") -> Deployed:
    """Bring what is in this working copy to an environment; `source` is a store that has the pinned version.

    The package is made in `out`. Raises DeployRefused and others before anything is changed, NotServed, RolledBack.
    """
    expected = expected_of(lock)
    service = _look(google)
    _try_model(google.settings, operator, lock, expected.model, source)
    build("gcp", lock, out, operator.say)
    release = release_digest(google.settings, out)
    _agree(google.settings, operator, service, release, expected.model)

    old = _pin(google, operator, service)
    operator.say(f"deploying {google.settings.function}; Google Cloud builds it, which takes some minutes")
    function = _deploy(google, out, release, expected.model, old)
    if old:
        _shift(google, operator, function, old, expected)
    else:
        _first(google, operator, function, expected)
    return Deployed(function.service, function.uri, function.revision, old, release)


def service_of(google: Google) -> Service | None:
    """The service below the function of an environment; None where nothing of it was ever up. Raises GcpError."""
    function = functions.find(google.gcloud, google.settings)
    if function is None or not function.service:
        return None
    try:
        return google.services.read(function.service)
    except NotThere:
        return None


def rollout_of(google: Google, operator: Operator, service: str, expected: Expected | None) -> Rollout:
    """The rollout on a service, to be begun, run or taken back; the last needs no golden samples."""
    platform = LivePlatform(google, service, expected)
    lock = expected.lock if expected else ""
    return Rollout(platform, google.settings.plan, lock, operator.now, google.sleep, operator.tell)


def _look(google: Google) -> Service | None:
    """The service as it is before; None where there is none. Raises DeployRefused where no deployment may begin."""
    service = service_of(google)
    if service is None:
        return None
    state = rollout_on(service)
    if state is not None:
        raise DeployRefused(
            f"a rollout of {state.new} is under way, at {state.percent} % since {state.started:%Y-%m-%d %H:%M} UTC; "
            f"finish it with 'pilotlight rollout gcp --env {google.settings.environment}', or add --rollback"
        )
    if not full_traffic_revision(service):
        raise DeployRefused(
            f"somebody split the traffic of {service.name} by hand: {split_text(service.split)}. Give one revision all "
            f"of it first: 'gcloud run services update-traffic {service.name} --to-revisions=REVISION=100'"
        )
    return service


def _try_model(settings: GcpSettings, operator: Operator, lock: Path, model: Description, source: str) -> None:
    """The pinned version is in the store, loads under functions-framework, and answers as its publisher saw."""
    example = f"make deploy-gcp ENV={settings.environment} FROM=gs://bucket/prefix"
    if ensure_published(lock, open_store(settings.store), source, example):
        operator.say(f"copied {model.name}:{model.version} to {settings.store}")
    operator.say(
        f"verifying {model.name}:{model.version} from {settings.store} under functions-framework on this machine"
    )
    failed = [f"{check.name}: {check.detail}" for check in verify(lock, settings.store, "gcp").checks if not check.ok]
    if failed:
        raise DeployRefused(f"{model.name}:{model.version} cannot be deployed; {'; '.join(failed)}")


def _agree(
    settings: GcpSettings, operator: Operator, service: Service | None, release: str, model: Description
) -> None:
    cost = costs.cost_text(settings)
    if cost:
        operator.say(cost)
    if service is None:
        operator.say(
            f"this is the first deployment of {settings.function}: no old revision, so no traffic to shift; what was "
            "verified, and the golden samples at the end, are all that is between a bad model and its callers"
        )
    place = f"{settings.function} in {settings.project}, {settings.region} ({settings.environment})"
    if not operator.confirm(f"Deploy {model.name}:{model.version}, release {release[:12]}, to {place}?"):
        raise DeployRefused("nothing was deployed")


def _pin(google: Google, operator: Operator, service: Service | None) -> str:
    """Give the revision that serves all traffic by its name: a new one then gets none. Empty without a service."""
    if service is None:
        return ""
    old = full_traffic_revision(service)
    if not service.pinned:
        operator.say(f"pinning all traffic of {service.name} to {old}")
        update_traffic(google.gcloud, google.settings, service.name, f"--to-revisions={old}=100")
    return old


def _deploy(google: Google, out: Path, release: str, model: Description, old: str) -> Function:
    """Deploy the package. However that ends, the callers of an old revision stay with it."""
    settings = google.settings
    environment = {
        **settings.variables,
        "PILOTLIGHT_STORE": settings.store,
        "PILOTLIGHT_RELEASE": release,
        "GOOGLE_CLOUD_PROJECT": settings.project,  # trace ids need it, and no runtime of the 2nd generation sets it
    }
    labels = {
        "pilotlight-model": model.name,
        "pilotlight-version": str(model.version),
        "pilotlight-release": release[:16],
    }
    try:
        return functions.deploy(google.gcloud, settings, out, environment, labels)
    except GcpError as error:
        if not old:
            raise
        function = functions.find(google.gcloud, settings)
        moved = _restore(google, function.service, old) if function else ""
        raise NotServed(f"{error}\n{moved or f'{old} has all traffic, as before'}") from error


def _restore(google: Google, service: str, old: str) -> str:
    """Give the old revision all traffic where it has not; a sentence about that, or an empty string."""
    split = google.services.read(service).split
    if split == {old: 100}:
        return ""
    update_traffic(google.gcloud, google.settings, service, f"--to-revisions={old}=100")
    return (
        f"the deployment moved traffic that was pinned to {old}, found {split_text(split)}; {old} has all of it again"
    )


def _shift(google: Google, operator: Operator, function: Function, old: str, expected: Expected) -> None:
    """Move the traffic to the new revision, which must have none yet. Raises NotServed, RolledBack."""
    new, service = function.revision, function.service
    moved = _restore(google, service, old)
    if moved:
        raise NotServed(moved)
    update_traffic(google.gcloud, google.settings, service, f"--update-tags={TAG}={new}")
    outcome = rollout_of(google, operator, service, expected).start(old, new)
    if outcome != Outcome("done", new):
        raise NotServed(f"somebody ended the rollout of {new}; {outcome.revision or 'no revision'} has all traffic")


def _first(google: Google, operator: Operator, function: Function, expected: Expected) -> None:
    operator.say(f"sending the golden samples to {function.revision}")
    answered, wrong = google.caller(function.uri).check(function.uri, expected, "first")
    if wrong or not answered:
        problems = "; ".join(wrong) or "no golden sample could be sent"
        raise NotServed(f"{function.revision} has all traffic and is not as the model's publisher saw it: {problems}")
