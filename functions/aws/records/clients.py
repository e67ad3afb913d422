"""Clients of AWS's services for records. They are made late: a snapshot of the process has no credentials."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

# Calls at once; a call's seconds.
CALLS = 16
_CONNECT_TIMEOUT, _READ_TIMEOUT = 1, 5


def connect(service: str, region: str | None = None) -> Any:  # noqa: ANN401 - one of six clients
    """Return a client of a service, in the function's own region if none is given."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"total_max_attempts": 2},
        max_pool_connections=CALLS,
    )
    return boto3.Session().client(service, region_name=region, config=config)  # type: ignore[call-overload]
