"""docs/guides/operate-on-google-cloud.md: what it says in numbers and names is held against the code."""

from __future__ import annotations

from docs import pages
from pilotlight_cli.gcp import costs

TEXT = pages.read("docs/guides/operate-on-google-cloud.md")


def test_the_prices_are_those_that_the_command_reckons_with() -> None:
    section = pages.section(TEXT, "## What it costs")
    assert section.count(f"{costs.CPU:.7f}") == 2
    assert costs.CPU == costs.MEMORY
    assert f"A month has {costs.HOURS} hours." in " ".join(section.split())
