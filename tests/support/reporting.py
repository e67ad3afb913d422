"""The last lines of a run: what was measured, and which tests were skipped, how many of them, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

REPORTED = "reported"  # record_property(REPORTED, "a sentence") prints the sentence
Recorder: TypeAlias = Callable[[str, object], None]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the last lines; with several workers this runs in the process that started them."""
    stats = terminalreporter.stats
    sentences = [
        text for report in stats.get("passed", ()) for name, text in report.user_properties if name == REPORTED
    ]
    if sentences:
        terminalreporter.section("reported by the tests")
        for text in sentences:
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
    for reason, tests in names.items():
        yield f"{len(tests)} skipped: {reason}"
        yield from (f"  {name}" for name in tests)


def _reason(report: Any) -> str:
    """Return the reason of a skip: pytest keeps it with file and line."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
