"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.drift.verdict import Finding


@dataclass(frozen=True, slots=True)
class Report:
    """The findings by column, the worst first; the rows of each side, and those of them that the model refuses.

    `seen` are the rows of log lines, of which those of `rows` were counted; 0 for files.
    """

    findings: tuple[Finding, ...]
    rows: tuple[int, int]
    refused: tuple[int, int]
    seen: int = 0
