"""The records that a function logged, for commands that look back at them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from pilotlight_cli import console
from pilotlight_cli.project.folders import ModelFolder
from pilotlight_cli.records import read_lines

# At most so many lines are read from Cloud Logging, the newest.
_NEWEST = 50_000


def check_place(environment: str, lines: Path | None, since: str) -> None:
    """Raise BadParameter unless there is one place to read, and an age for a log alone."""
    if bool(environment) == bool(lines) or (since and lines):
        raise typer.BadParameter("expected --env, which may have --since, or --lines")


def logged(
    chosen: ModelFolder,
    events: Collection[str],
    begin: datetime,
    *,
    environment: str,
    cloud: str,
    lines: Path | None,
    function: str = "predict",
    experiment: str = "",
) -> Iterable[Mapping[str, Any]]:
    """Return the records of some events that an environment's function wrote since a moment, oldest first.

    With `lines` they are those in that file, whenever they were written. With the salt of an `experiment`, the log has
    to give only those of that. Raise AwsError, GcpError and FormatError.
    """
    if lines:
        return (record for record in read_lines(lines) if record.get("event") in events)
    if cloud == "aws":
        from pilotlight_cli.aws import records as aws
        from pilotlight_cli.aws.environments import read_environment

        read = aws.reader(read_environment(environment, chosen.environments), function, events, experiment)
    else:
        from pilotlight_cli.gcp import records as gcp
        from pilotlight_cli.gcp.platform import connect
        from pilotlight_cli.gcp.settings import read_settings

        google = connect(read_settings(chosen.gcp_settings, environment), os.environ)
        read = gcp.reader(google, function, events, _NEWEST, experiment)
    found = [entry.record for entry in read(begin)]
    if cloud == "gcp" and len(found) == _NEWEST:
        console.warning(f"only the newest {_NEWEST:,} lines were read; give a later --since")
    return found
