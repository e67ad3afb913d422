"""Fixtures of the tests of comparisons."""

from __future__ import annotations

from browser_fixtures import browser

__all__ = ["browser"]
