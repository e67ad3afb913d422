"""Hypothesis, in no hurry. Tests take it from here: its decorators keep the profile that they find."""

from __future__ import annotations

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

__all__ = ["HealthCheck", "event", "example", "given", "settings", "st"]

# What an example takes says nothing of the product on a machine that stalls.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
