"""The pages on Google Cloud: their numbers are those of the code."""

from __future__ import annotations

from docs import pages
from pilotlight_cli.gcp import costs

TEXT = pages.read("docs/reference/costs.md")


def test_the_prices_are_those_that_the_command_reckons_with() -> None:
    section = pages.section(TEXT, "## Google Cloud")
    assert section.count(f"{costs.CPU:.7f}") == 2
    assert costs.CPU == costs.MEMORY
    assert f"A month has {costs.HOURS} hours." in " ".join(section.split())
