"""Hypothesis without deadlines. Tests import it from here, because its decorators keep the profile that they find."""

from __future__ import annotations

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

__all__ = ["HealthCheck", "event", "example", "given", "settings", "st"]

# On a machine that stalls, the time of an example is not the product's.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
