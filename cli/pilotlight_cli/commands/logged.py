"""The records of a deployed function, for commands that look back at them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pilotlight_cli import console
from pilotlight_cli.project.folders import ModelFolder

# At most so many lines are read from Cloud Logging, the newest.
_NEWEST = 50_000


def logged(
    chosen: ModelFolder,
    environment: str,
    cloud: str,
    events: Collection[str],
    begin: datetime,
    *,
    function: str = "predict",
    experiment: str = "",
) -> list[Mapping[str, Any]]:
    """Return the records of some events that an environment's function wrote since a moment, oldest first.

    With the salt of an `experiment`, only those of that. Raise AwsError and GcpError.
    """
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
