"""The function, through `gcloud functions`: describing it and deploying a new revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight_cli.gcp import GcpError, NotFound
from pilotlight_cli.gcp.gcloud import Gcloud
from pilotlight_cli.gcp.settings import GcpSettings
from pilotlight_cli.pinning.requirements import PYTHON_VERSION

RUNTIME = f"python{PYTHON_VERSION.replace('.', '')}"
ENTRY_POINT = "predict"

# The buildpack compiles all modules and then sets every file's time to 1980: bytecode that names another time is stale,
# and every start would compile its imports again. With this variable bytecode names its source's hash (PEP 552).
BUILD = {"SOURCE_DATE_EPOCH": "315532801"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its Cloud Run service, its newest revision, its URL. Each is empty until it exists.

    `labels` are those of the newest revision; empty after a failed deployment, which changes them too. `trigger` is the
    full name of the Eventarc trigger, empty for an HTTP function.
    """

    service: str
    revision: str
    uri: str
    labels: Mapping[str, str] = field(default_factory=dict)
    trigger: str = ""


def find(gcloud: Gcloud, settings: GcpSettings) -> Function | None:
    """Return the function of an environment, or None before its first deployment. Raises GcpError."""
    try:
        document = gcloud.json("functions", "describe", settings.function, "--gen2", f"--region={settings.region}")
    except NotFound:
        return None
    if document.get("environment", "GEN_2") != "GEN_2":
        raise GcpError(
            f"the function {settings.function} is 1st generation, which has no revisions; choose another name"
        )
    return _read(document)


def deployed(gcloud: Gcloud, settings: GcpSettings) -> Function:
    """Return the function of an environment, which serves. Raises GcpError."""
    function = find(gcloud, settings)
    if function is None or not function.uri:
        raise GcpError(
            f"the function {settings.function} is not deployed; 'pilotlight deploy gcp --env {settings.environment}' "
            "deploys it"
        )
    return function


def http_trigger(settings: GcpSettings) -> tuple[str, ...]:
    """Return the options of a function that answers requests."""
    access = "--allow-unauthenticated" if settings.public else "--no-allow-unauthenticated"
    return f"--entry-point={ENTRY_POINT}", "--trigger-http", access


def deploy(
    gcloud: Gcloud,
    settings: GcpSettings,
    source: Path,
    environment: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    trigger: Sequence[str] = (),
) -> Function:
    """Deploy a package. Cloud Functions keeps the current traffic split, so pin it first. Raises GcpError.

    `trigger` are the options of the entry point and of what calls it, without any an HTTP trigger's.
    """
    build = settings.build_service_account
    document = gcloud.json(
        *("functions", "deploy", settings.function, "--gen2", f"--region={settings.region}"),
        *(f"--runtime={RUNTIME}", f"--source={source}", *(trigger or http_trigger(settings))),
        *(f"--memory={settings.memory}", f"--cpu={settings.cpu:g}", f"--concurrency={settings.concurrency}"),
        *(f"--min-instances={settings.min_instances}", f"--max-instances={settings.max_instances}"),
        *(f"--service-account={settings.service_account}", *settings.options),
        f"--set-env-vars=^|^{_pairs(environment, '|')}",
        f"--update-build-env-vars={_pairs(BUILD, ',')}",
        f"--update-labels={_pairs(labels, ',')}",
        *([f"--build-service-account=projects/{settings.project}/serviceAccounts/{build}"] if build else []),
    )
    deployed = _read(document)
    if not deployed.service or not deployed.revision:
        raise GcpError(
            f"gcloud deployed {settings.function} but returned no revision; check the function in the console"
        )
    return deployed


def update_traffic(gcloud: Gcloud, settings: GcpSettings, service: str, change: str) -> None:
    """Run `gcloud run services update-traffic` with one option. Raises GcpError."""
    gcloud.json("run", "services", "update-traffic", service, f"--region={settings.region}", change)


def _read(document: Mapping[str, Any]) -> Function:
    config = document.get("serviceConfig", {})
    service, revision = (config.get(name, "").rpartition("/")[2] for name in ("service", "revision"))
    labels = document.get("labels", {}) if document.get("state") == "ACTIVE" else {}
    trigger = document.get("eventTrigger", {}).get("trigger", "")
    return Function(service, revision, config.get("uri", ""), labels, trigger)


def _pairs(values: Mapping[str, str], separator: str) -> str:
    """Join pairs by a separator; `gcloud topic escaping` describes separators other than a comma."""
    return separator.join(f"{name}={value}" for name, value in values.items())
