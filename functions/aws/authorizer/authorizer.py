"""The Lambda authorizer, which allows requests to the API that have a valid API key."""

from __future__ import annotations

import os
import time
from typing import Any

from authorizer_event import authorize
from key_directory import Directory, parameter_store

_DIRECTORY = Directory(os.environ["API_KEYS_PATH"], parameter_store(), time.time)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an authorizer event of API Gateway."""
    return authorize(event, _DIRECTORY.find, time.time())
