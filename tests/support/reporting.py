"""What a run says at its end: what was measured, and which tests were skipped, how many of them, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

TOLD = "told"  # record_property(TOLD, "a sentence") prints the sentence
Recorder: TypeAlias = Callable[[str, object], None]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Pytest's hook; with several workers it runs in the process that started them."""
    stats = terminalreporter.stats
    told = [text for report in stats.get("passed", ()) for name, text in report.user_properties if name == TOLD]
    if told:
        terminalreporter.section("told by the tests")
        for text in told:
            terminalreporter.write_line(text)
    lines = list(skipped_lines(stats.get("skipped", ())))
    if lines:
        terminalreporter.section("skipped tests")
        for line in lines:
            terminalreporter.write_line(line)


def skipped_lines(reports: Iterable[Any]) -> Iterable[str]:
    """Yield the skipped tests below the reason that they share, with their number."""
    names = defaultdict(list)
    for report in reports:
        names[_reason(report)].append(report.nodeid)
    for reason, found in names.items():
        yield f"{len(found)} skipped: {reason}"
        yield from (f"  {name}" for name in found)


def _reason(report: Any) -> str:
    """Pytest keeps file, line and reason of a skip."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
