"""`pilotlight deploy gcp --function records`: deploy the function for records, and the dead letters of its events.

A revision that does not start gets no events: Cloud Run keeps the old one. One that starts gets all of them, since
events have no golden samples and no caller who would notice; what it fails comes again and ends as a dead letter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pilotlight_cli.gcp import GcpError, functions
from pilotlight_cli.gcp.deploy import Deployed, DeployRefused, Operator, environment_of, labels_of, verify_model
from pilotlight_cli.gcp.golden import expected_of
from pilotlight_cli.gcp.platform import Google
from pilotlight_cli.gcp.release import release_digest
from pilotlight_cli.staging import build
from pilotlight_cli.staging.sources import RECORDS

# Seconds that Pub/Sub waits for a reply, its most: an event that takes longer would come a second time meanwhile.
_ACK_DEADLINE = 600


def deploy_records(google: Google, operator: Operator, lock: Path, out: Path, source: str = "") -> Deployed:
    """Deploy this working copy's function for records to an environment, with the package staged in `out`.

    `source` is a store to copy the pinned version from. Raises DeployRefused and others before any change, then
    GcpError.
    """
    records = google.settings.records
    if records is None:
        raise DeployRefused(
            f"gcp.toml has no [{google.settings.environment}.records]; it says what is scored and where results go"
        )
    settings = replace(
        google.settings,
        function=f"{google.settings.function}-{RECORDS}",
        service_account=records.service_account,
        variables={**google.settings.variables, **records.variables},
    )
    expected = expected_of(lock)
    model = expected.model
    verify_model(settings, operator, lock, model, source)
    build("gcp", lock, out, operator.say, function=RECORDS, client=google.settings.client)
    release = release_digest(settings, out)
    place = f"{settings.function} in {settings.project}, {settings.region} ({settings.environment})"
    if not operator.confirm(f"Deploy {model.name}:{model.version}, release {release[:12]}, to {place}?"):
        raise DeployRefused("nothing was deployed")
    before = functions.find(google.gcloud, settings)
    operator.say(f"deploying {settings.function}; the build on Google Cloud takes some minutes")
    environment, labels = environment_of(settings, release), labels_of(expected, release, lock)
    function = functions.deploy(google.gcloud, settings, out, environment, labels, trigger=records.trigger)
    subscription = _subscription(google, function.trigger)
    operator.say(f"events that fail {records.attempts} times go to the topic {records.dead_letter}")
    google.gcloud.json(
        *("pubsub", "subscriptions", "update", subscription, f"--dead-letter-topic={records.dead_letter}"),
        *(f"--max-delivery-attempts={records.attempts}", f"--ack-deadline={_ACK_DEADLINE}"),
    )
    return Deployed(
        function.service, function.uri, function.revision, before.revision if before else "", release, model
    )


def _subscription(google: Google, trigger: str) -> str:
    """Return the name of the subscription by which Eventarc delivers."""
    name, location = trigger.rpartition("/")[2], trigger.partition("/locations/")[2].partition("/")[0]
    if not name:
        raise GcpError("the function was deployed, but gcloud returned no trigger; look at it in the console")
    document = google.gcloud.json("eventarc", "triggers", "describe", name, f"--location={location}")
    found: str = document.get("transport", {}).get("pubsub", {}).get("subscription", "")
    if not found:
        raise GcpError(f"the trigger {name} has no subscription yet, and so no dead-letter topic; deploy again")
    return found
