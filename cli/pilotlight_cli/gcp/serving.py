"""What the function of an environment serves, for `pilotlight status`."""

from __future__ import annotations

import os
from pathlib import Path

from pilotlight.errors import FormatError, PilotlightError
from pilotlight_cli.gcp import GcpUsageError, NoAccess, NoCredentials, NotFound, functions
from pilotlight_cli.gcp.alerts import read_alarms
from pilotlight_cli.gcp.deploy import service_of
from pilotlight_cli.gcp.functions import Function
from pilotlight_cli.gcp.gcloud import Run, run_gcloud
from pilotlight_cli.gcp.platform import Google, connect
from pilotlight_cli.gcp.settings import read_settings
from pilotlight_cli.gcp.state import rollout_on
from pilotlight_cli.project.status import Deployment, Details, Share

_STATES: dict[type[PilotlightError], str] = {
    NoCredentials: "no credentials",
    NoAccess: "no access",
    GcpUsageError: "not set up",
    FormatError: "not set up",
}


def read_deployment(file: Path, environment: str, pin: str, run: Run = run_gcloud) -> Deployment:
    """Return what an environment of a gcp.toml serves. `pin` is the SHA-256 of the model's lock, or empty."""
    name = ""
    try:
        settings = read_settings(file, environment)
        name = settings.function
        shares = _shares(connect(settings, os.environ, run=run), pin)
    except PilotlightError as error:
        return Deployment("gcp", environment, name, _STATES.get(type(error), "failed"), reason=str(error))
    return Deployment("gcp", environment, name, "serving" if shares else "not deployed", shares)


def _shares(google: Google, pin: str) -> tuple[Share, ...]:
    """Return the revisions that share the traffic, with the new one of a rollout; none before the first deployment."""
    function = functions.find(google.gcloud, google.settings)
    if function is None or not function.service:
        return ()
    try:
        service = google.services.read(function.service)
    except NotFound:
        return ()
    state, split = rollout_on(service), service.split
    if state:
        split.setdefault(state.new, 0)
    return tuple(_share(function, revision, percent, pin) for revision, percent in split.items())


def _share(function: Function, revision: str, percent: int, pin: str) -> Share:
    """Return a revision's share. The labels are those of the newest revision: Cloud Run does not get them."""
    labels = function.labels if revision == function.revision else {}
    if "pilotlight-lock" not in labels:
        return Share(revision, percent)
    model = f"{labels.get('pilotlight-model')}:{labels.get('pilotlight-version')}"
    is_pin = bool(pin) and pin.startswith(labels["pilotlight-lock"])
    return Share(revision, percent, labels.get("pilotlight-release", ""), model, is_pin, labels["pilotlight-lock"])


def read_details(google: Google) -> Details:
    """Return more of an environment. Raises GcpError."""
    service = service_of(google)
    if service is None:
        return Details()
    state = rollout_on(service)
    moving = f"{state.new} at {state.percent} % since {state.started:%Y-%m-%d %H:%M} UTC" if state else ""
    return Details(service.uri, moving, *read_alarms(google.monitoring, google.settings.project, service.name))
