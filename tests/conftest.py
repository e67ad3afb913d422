"""What every test has around it. Fixtures are in the conftest.py of the folder that uses them."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ("environment_fixtures", "reporting")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where no test imported Hypothesis, its plugin would now: a second, to say that it has nothing to say."""
    plugins = session.config.pluginmanager
    if "hypothesis" not in sys.modules and not plugins.has_plugin("dsession"):  # which tells of what workers found
        plugins.set_blocked("hypothesispytest")
