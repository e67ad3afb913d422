"""The function's records in Cloud Logging."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from pilotlight_cli.gcp import functions
from pilotlight_cli.gcp.platform import Google
from pilotlight_cli.records import EVENTS, Entry, Read
from pilotlight_cli.staging.sources import RECORDS

_NEWEST = 1000  # one page


def reader(
    google: Google, which: str, events: Collection[str] = EVENTS, newest: int = _NEWEST, experiment: str = ""
) -> Read:
    """Return what reads the newest records of an environment's function, `predict` or `records`. Raise GcpError.

    With the salt of an `experiment`, it reads only the lines of that.
    """
    settings = google.settings
    if which == RECORDS:
        settings = replace(settings, function=f"{settings.function}-{RECORDS}")
    function = functions.deployed(google.gcloud, settings)
    asked = " OR ".join(f'"{event}"' for event in events)
    wanted = " AND ".join(
        (
            'resource.type="cloud_run_revision"',
            f'resource.labels.location="{google.settings.region}"',
            f'resource.labels.service_name="{function.service}"',
            f"jsonPayload.event=({asked})",
            *([f'jsonPayload.experiment="{experiment}"'] if experiment else []),
        )
    )

    def read(since: datetime) -> list[Entry]:
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = google.gcloud.json(
            "logging", "read", f'{wanted} AND timestamp>="{moment}"', f"--limit={newest}", "--order=desc"
        )
        return [
            Entry(
                entry["insertId"],
                datetime.fromisoformat(entry["timestamp"]),
                entry.get("labels", {}).get("instanceId", ""),
                entry["jsonPayload"],
            )
            for entry in reversed(found or ())
        ]

    return read
