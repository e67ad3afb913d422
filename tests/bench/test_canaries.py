"""The table of simulated canaries in docs/concepts/safe-releases.md is what the simulation gives."""

from __future__ import annotations

import re

from canaries import simulate
from pilotlight_cli.assets import ROOT

ROW = re.compile(r"^\| ([\d.]+) %, ([\d.]+) % \| (\d+) % \| ([\d.]+) % \| ([\d.]+) % \| ?(\d*) \|$", re.MULTILINE)


def test_the_page_says_what_the_simulation_gives() -> None:
    rows = ROW.findall((ROOT / "docs" / "concepts" / "safe-releases.md").read_text())
    assert len(rows) == 7
    for old, new, share, *found, look in rows:
        rates = (float(old) / 100, float(new) / 100)
        z, sprt = (simulate(judge, 2000, 1000, int(share) / 100, rates) for judge in ("z", "sprt"))
        assert [float(each) for each in found] == [round(100 * z.share, 1), round(100 * sprt.share, 1)], rates
        assert not look or float(look) == sprt.look
