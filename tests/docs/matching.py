"""Compares the output of an example with its page."""

from __future__ import annotations

import difflib
import re
from itertools import groupby

# What differs from run to run. A page shows a real one of each; only that it has this form is compared.
_VARIES = (
    (r"^Installing .* for this machine's Python$\n?", ""),  # the first time, if it takes long
    (r"\b\d+(\.\d+)? ms\b", "<time> ms"),
    (r" +(?=(<time> ms|took)$)", " "),  # a column of times is as wide as its widest, and so is its heading
    (r"^=+ (.* in) \d+\.\d+s =+$", r"\1 <time>"),  # the last line of pytest, which fills the terminal
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d\b", "<time>"),
    (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"(?m)^(x-request-id: ).*", r"\1<id>"),
    (r'("request_id": ?)"[^"]+"', r'\1"<id>"'),
)

ANYTHING = "..."


def difference(shown: str, printed: str) -> str:
    """Return a diff for a person, or an empty string if the page shows what was printed.

    `...` in a page stands for any text within its line; on a line of its own, for any number of lines.
    """
    expected, actual = _plain(shown), _plain(printed)
    if re.fullmatch(_pattern(expected), f"\n{actual}", re.DOTALL):
        return ""
    lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "shown", "printed", lineterm="", n=9)
    return "\n".join(lines)


def _plain(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    for pattern, replacement in _VARIES:
        lines = re.sub(pattern, replacement, lines, flags=re.MULTILINE)
    return _in_order(lines)


def _in_order(text: str) -> str:
    """Sort adjacent lines that end in a time: phases that overlap end in any order."""
    groups = groupby(text.split("\n"), lambda line: line.endswith("<time> ms"))
    return "\n".join(line for timed, lines in groups for line in (sorted(lines) if timed else lines))


def _pattern(shown: str) -> str:
    return "".join(_line_pattern(line) for line in shown.split("\n"))


def _line_pattern(line: str) -> str:
    """Return a pattern for the line and the break before it."""
    if line.strip() == ANYTHING:
        return r"(\n.*)?"
    return r"\n" + re.escape(line).replace(re.escape(ANYTHING), r"[^\n]*")
