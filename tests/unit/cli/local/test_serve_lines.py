from __future__ import annotations

import json

import pytest

from pilotlight_cli.local.command import readable
from pilotlight_cli.local.function import passed_on

REQUEST = {"event": "request", "method": "POST", "route": "/predict", "status": 200, "latency_ms": 1.25, "rows": 1}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (json.dumps(REQUEST), "POST /predict 200 1.2 ms"),
        (json.dumps({**REQUEST, "route": "", "status": 404}), "POST (no route) 404 1.2 ms"),
        (json.dumps({**REQUEST, "status": 500, "error": "Traceback"}), "POST /predict 500 1.2 ms\nTraceback"),
        (json.dumps({"event": "cold_start", "state": "ready"}), "cold start: ready"),
        ('{"event": "other"}', '{"event": "other"}'),
        ("printed by the function", "printed by the function"),
        ("START RequestId: 1 Version: $LATEST", ""),
        ("REPORT RequestId: 1 Duration: 1 ms", ""),
        ("21 Nov 2026 06:50:01,095 [INFO] (rapid) exec 'python'", ""),
    ],
)
def test_a_line_is_shown_in_short_or_as_it_is(line: str, shown: str) -> None:
    assert readable(line) == shown


def test_only_what_leads_to_a_store_and_our_settings_pass_to_a_function() -> None:
    given = {
        "AWS_PROFILE": "me",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
        "PILOTLIGHT_LOG_LEVEL": "DEBUG",
        "PILOTLIGHT_MAX_MEMORY": "8000",
        "PILOTLIGHT_MAX_SECONDS": "60",
        "HOME": "/home/me",
        "https_proxy": "http://proxy",
        "AWS_CA_BUNDLE": "",
        "AWS_LAMBDA_FUNCTION_NAME": "other",
        "AWS_EXECUTION_ENV": "CloudShell",
        "PYTHONPATH": "/elsewhere",
        "VIRTUAL_ENV": "/venv",
        "GITHUB_TOKEN": "secret",
    }

    assert passed_on(given).keys() == {
        "AWS_PROFILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "PILOTLIGHT_LOG_LEVEL",
        "HOME",
        "https_proxy",
    }
