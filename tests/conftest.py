"""Plugins of all tests. Fixtures are in the conftest.py of the folder that uses them."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ("environment_fixtures", "reporting")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Block Hypothesis's plugin unless a test imported it: its empty report would take a second."""
    plugins = session.config.pluginmanager
    if "hypothesis" not in sys.modules and not plugins.has_plugin("dsession"):  # which reports what workers found
        plugins.set_blocked("hypothesispytest")
