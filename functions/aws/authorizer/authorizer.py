"""The Lambda function that says whether a request to the API has a good API key."""

from __future__ import annotations

import os
import time
from typing import Any

from authorizer_event import answer
from key_directory import Directory, parameter_store

_DIRECTORY = Directory(os.environ["API_KEYS_PATH"], parameter_store(), time.time)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer API Gateway."""
    return answer(event, _DIRECTORY.find, time.time())
