"""The project's Markdown pages as blocks: the text between fences, and the marker above, if any.

A marker is a comment on the line above a fence, which readers do not see:

    <!-- stays up -->          the command goes on; the next such block, or the page's end, ends it
    <!-- file: NAME -->        the block is the content of that file
    <!-- given: SITUATION -->  the request goes to a function in that situation, see exchanges.py
    <!-- needs: PACKAGES -->   the Python block runs with these packages, installed apart from this environment
    <!-- not run: REASON -->   the block cannot run in a test
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.assets import ROOT

# The pages whose examples run: those of the project's root and all of docs/.
PAGES = tuple(
    path.relative_to(ROOT).as_posix() for glob in ("*.md", "docs/**/*.md") for path in sorted(ROOT.glob(glob))
)

# The pages on a project of the user's own. Those on the tool itself are for a clone of this repository.
OF_PROJECT = tuple(
    page
    for page in PAGES
    if page == "README.md" or (page.startswith("docs/guides/") and page != "docs/guides/run-in-a-container.md")
)

# Pages beside what they describe. Their links are checked, their examples are not run.
NOTES = ("bench/README.md", "shared/schema/README.md", "examples/breast-cancer/README.md", "starter/README.md")

_MARKER = re.compile(r"<!-- (?P<kind>stays up|file|given|needs|not run)(: (?P<text>.+?))? -->")


class BadPage(ValueError):
    """A page's fences or markers cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `line` is that of its opening fence, `kind` and `note` are its marker's, or empty."""

    page: str
    line: int
    language: str
    text: str
    kind: str = ""
    note: str = ""

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}:{self.line}"


def read(page: str, root: Path = ROOT) -> str:
    """Return a page's text."""
    return (root / page).read_text(encoding="utf-8")


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order. Raise BadPage if one is not closed or has an unknown marker."""
    lines = iter(enumerate(text.splitlines(), 1))
    before = ""
    for number, line in lines:
        if line.startswith("```"):
            language = line[3:].strip()
            content = list(_until_fence(page, number, lines))
            kind, note = _marker(page, number, before)
            yield Block(page, number, language, "".join(f"{item}\n" for item in content), kind, note)
        before = line


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def code_spans(text: str) -> list[str]:
    """Return the code spans of a page's prose, line breaks as spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def section(text: str, heading: str) -> str:
    """Return the text under a heading, up to the next one of its level or above. Raise BadPage without the heading."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise BadPage(f"no heading {heading!r}")
    return found[1]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table in a text, row by row, without its head. Raise BadPage without a table."""
    rows = re.search(r"(^\|.*\n?)+", text, re.MULTILINE)
    if rows is None:
        raise BadPage("no table")
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows[0].splitlines()]
    return cells[2:]


def _until_fence(page: str, opened: int, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line
    raise BadPage(f"{page}:{opened}: the block is never closed")


def _marker(page: str, number: int, before: str) -> tuple[str, str]:
    if not before.startswith("<!--"):
        return "", ""
    found = _MARKER.fullmatch(before)
    if found is None or (found["text"] is None) != (found["kind"] == "stays up"):
        raise BadPage(f"{page}:{number - 1}: {before} is not a marker; pages.py lists them")
    return found["kind"], found["text"] or ""
